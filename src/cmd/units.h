/* Numbers as people read them. */
#pragma once

#include <stdint.h>

struct unit_text {
	char s[24];
};

/* "512 B", "1.21 KiB": as wg(8) writes them. */
struct unit_text unit_bytes(uint64_t bytes);
/* "0 B/s", "1.21 MiB/s". */
struct unit_text unit_rate(uint64_t bytes_per_second);
/* "0", "1023", "1.2K", "12K", "1.2M": four characters and the unit at the most, where there is
 * little room. */
struct unit_text unit_short(uint64_t bytes);
/* The two largest units that matter: "0s", "59s", "5m 3s", "2h 0m", "3d 4h". */
struct unit_text unit_span(uint64_t milliseconds);
