/* Whether the rules of iptables-legacy have changed, without starting a program. */
#pragma once

#include <stdint.h>

enum {
	LEGACY_DIGEST_SIZE = 32, /* SHA-256 */
};

/*
 * Of all that the filter table is made of, but for the counters. The table must be there: the
 * kernel makes it for whoever asks. One copy of the table from the kernel. Needs CAP_NET_ADMIN.
 * Returns 0 or -errno; -EAGAIN if the table changed meanwhile.
 */
int legacy_digest(uint8_t digest[LEGACY_DIGEST_SIZE]);
