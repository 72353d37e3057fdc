/* What a client has by the name of its interface: a lock, so that it is the only one of that name,
 * and a WireGuard key, which its successors of that name have too. */
#pragma once

#include <stdbool.h>

#include "base/key.h"

/* With the interface's name behind it: the file of the lock, in RUN_FOLDER. */
#define INSTANCE_LOCK_PREFIX "client-lock-"

/* Returns the lock, to be closed, or -errno, logged. */
int instance_lock(const char *interface);
/* The same, but -EWOULDBLOCK at once and without a word if a client runs. */
int instance_lock_if_free(const char *interface);

enum { INSTANCE_NAME_SIZE = 16 }; /* IFNAMSIZ */

/* The same for the first of the names PREFIX0, PREFIX1, ... that is free, of n; it is written to
 * name. -EWOULDBLOCK, not logged: none is. */
int instance_lock_any(const char *prefix, unsigned int n, char name[INSTANCE_NAME_SIZE]);

/* Whether a client of that name runs. */
bool instance_is_locked(const char *interface);

/* Loads the key, or makes it. Returns 0 or -errno, logged. The private key is for the caller to
 * wipe.
 */
int instance_load_key(const char *interface, struct key *private_key, struct key *public_key);

/* Likewise the id by which servers tell clients of one address apart: random, and no secret. */
int instance_load_id(const char *interface, struct key *id);
