/* What a client has by the name of its interface: a lock, so that it is the only one of that name,
 * and a WireGuard key, which its successors of that name have too. */
#pragma once

#include "base/key.h"

/* Returns the lock, to be closed, or -errno, logged. */
int instance_lock(const char *interface);

/* Loads the key, or makes it. Returns 0 or -errno, logged. The private key is for the caller to
 * wipe.
 */
int instance_load_key(const char *interface, struct key *private_key, struct key *public_key);
