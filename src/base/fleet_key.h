/*
 * The file of a fleet's key: what its hosts keep in a common store is sealed under it. A line is a
 * key, 32 bytes in base64. The first key seals; the second, if there is one, only opens, so that a
 * fleet can go from one to the other, host by host.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/key.h"

enum {
	FLEET_KEYS_MAX = 2,
};

struct fleet_keys {
	struct key keys[FLEET_KEYS_MAX];
	size_t n; /* 1 or 2 */
};

/* A key's name, which tells nothing of the key: the begin of a hash of it. 0 if the library fails.
 */
uint32_t fleet_key_id(const struct key *key);

/* Returns 0, -EINVAL if the file is none of these, or the errno of what failed. */
int fleet_keys_load(const char *path, struct fleet_keys *keys);

/* A new random key. Returns 0 or -EIO. */
int fleet_key_generate(struct key *key);

/* Writes the file, mode 0600, whole or not at all. Returns 0 or -errno: -EEXIST if it is there. */
int fleet_keys_create(const char *path, const struct fleet_keys *keys);
/* Likewise, in place of the one that is there. */
int fleet_keys_replace(const char *path, const struct fleet_keys *keys);

/* A cleanup helper: overwrites them. */
void fleet_keys_wipe(struct fleet_keys *keys);
