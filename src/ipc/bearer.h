/* The passwords that clients may show, as far as anybody keeps them: their digests. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	BEARER_DIGEST_SIZE = 32, /* SHA-256 */
	BEARER_PASSWORDS = 2, /* the present one, and for a time the one before */
};

struct bearer {
	/* Always both, of the same password where there is one only. Zero is no password's: where
	 * there is none at all. */
	uint8_t digests[BEARER_PASSWORDS][BEARER_DIGEST_SIZE];
};

/* previous: NULL if there is none. Returns 0, -EINVAL for an empty password, -EIO if the library
 * fails. */
int bearer_make(struct bearer *bearer, const char *current, const char *previous);

/* Whether it is one of them. How long it takes tells neither how much of it is right, nor which of
 * them it is. */
bool bearer_has(const struct bearer *bearer, const char *password);
