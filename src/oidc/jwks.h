/* A set of keys, as an issuer publishes it: JWKS, RFC 7517, 5. */
#pragma once

#include <stddef.h>

#include "ipc/issuer.h"

/*
 * Takes those of its keys that a token could be verified with: RSA of 2048 bits and more, and
 * P-256, with a name, for signatures. Others are left out, as the standard wants it. Returns how
 * many there are; -EBADMSG for what is no such set; -ENOENT if there is none in it; -E2BIG if there
 * are more than ISSUER_KEYS_MAX.
 */
int jwks_parse(const char *text, size_t length, struct issuer_key keys[ISSUER_KEYS_MAX]);
