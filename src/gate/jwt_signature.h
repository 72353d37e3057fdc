/* The signature of a token: RS256 and ES256 of RFC 7518, 3.3 and 3.4. */
#pragma once

#include <stdbool.h>

struct issuer_key;
struct jwt;

/* Whether the holder of the private key that belongs to this one has signed the token, in the way
 * that such a key signs. A valid key (issuer_key_is_valid()). */
bool jwt_signature_is_right(const struct jwt *jwt, const struct issuer_key *key);

/* Goes through it with keys of its own: what the library opens, seeds and allocates late is done
 * with when this returns. Returns 0 or -EIO. */
int jwt_signature_warm_up(void);
