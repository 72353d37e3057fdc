/*
 * Records that nobody can read, make or exchange who has not the fleet's key: ChaCha20-Poly1305
 * (RFC 8439) under a subkey of the fleet's key. The subkey is made by HKDF-SHA256 (RFC 5869) with
 * 16 random bytes as the salt that every process draws at its start, and nonces count from 0: no
 * two records have the same of both, also where hosts are copies of each other. The record's name
 * and all that stands before the ciphertext, its epoch too, are authenticated.
 *
 *     version 1, 3 zeros, id of the key (4), salt (16), epoch (8), counter (8), ciphertext, tag
 * (16)
 *
 * Integers are big-endian.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fleet_key.h"

enum {
	SEAL_SALT_SIZE = 16,
	SEAL_HEADER_SIZE = 40,
	SEAL_TAG_SIZE = 16,
	SEAL_OVERHEAD = SEAL_HEADER_SIZE + SEAL_TAG_SIZE,
};

struct sealer;

/* The salt must never have been used before with these keys: random bytes. Returns 0 or -errno. */
int sealer_new(
	const struct fleet_keys *keys, const uint8_t salt[SEAL_SALT_SIZE], struct sealer **sealer);
/* Wipes and frees. NULL is fine. */
void sealer_free(struct sealer *sealer);

/* Seals n bytes; `sealed` has room for n + SEAL_OVERHEAD. Returns 0 or -EIO if the library fails.
 */
int sealer_seal(struct sealer *sealer, const char *name, uint64_t epoch, const void *plain,
	size_t n, uint8_t *sealed);

/* Whether there is a second key, which only opens. */
bool sealer_has_second_key(const struct sealer *sealer);
/* Whether a record says that it was sealed under the first. */
bool sealer_is_first_key(const struct sealer *sealer, const uint8_t *sealed, size_t size);

/*
 * Opens n + SEAL_OVERHEAD bytes into n. Returns 0, -ENOKEY if it was sealed under another key than
 * the ones here, -EBADMSG if it is of another size or name, or was changed.
 */
int sealer_open(struct sealer *sealer, const char *name, const uint8_t *sealed, size_t size,
	void *plain, size_t n, uint64_t *epoch);
