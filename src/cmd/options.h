/* Values of command-line options. The parsers return 0 or -EINVAL and say nothing. */
#pragma once

#include <stdint.h>

#include "plane/plane.h"

/* "5m", "90s", "500ms", "2h", "2" (seconds). At least 1 ms, at most a year. */
int option_parse_duration(const char *text, uint64_t *milliseconds);

/* A decimal number from min to max. */
int option_parse_number(
	const char *text, unsigned long min, unsigned long max, unsigned int *number);

/* "auto", "kernel" or "embedded". */
int option_parse_plane(const char *text, enum plane_choice *plane);
