/*
 * X25519 (RFC 7748). A private key is set up once and used for several agreements: deriving its
 * public key, which the library insists on, takes as long as an agreement.
 */
#pragma once

#include "base/key.h"

struct curve_key;

/* Any 32 bytes are a private key. Also gives the public key. NULL: the library fails. */
struct curve_key *curve_key_new(const struct key *private_key, struct key *public_key);
void curve_key_free(struct curve_key *key);

/* The private key itself, to be kept in another process. Returns 0 or -EIO. */
int curve_key_private(const struct curve_key *key, struct key *private_key);

/* Returns 0, -EINVAL if the result is all zeros (the point is of low order: RFC 7748, 6.1), or
 * -EIO. */
int curve_agree(const struct curve_key *own, const struct key *remote, struct key *shared);
