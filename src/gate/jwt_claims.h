/* What a token says of its bearer, against what is asked: RFC 7519, 4.1, and an issuer's rules. */
#pragma once

#include <stdint.h>

#include <jansson.h>

#include "ipc/client_name.h"

struct issuer;

enum {
	JWT_CLOCK_SKEW_S = 60, /* that an issuer's clock may be ahead of ours */
};

/* Whether a token with these claims is good now (s since 1970): issuer, audience, times and rules.
 * Returns NULL if it is; else what is wrong, for the log. */
const char *jwt_claims_fault(const json_t *claims, const struct issuer *issuer, int64_t now_s);

/* What its bearer is called. Returns 0, or -EINVAL if there is no such claim or it makes no name.
 */
int jwt_claims_name(const json_t *claims, const struct issuer *issuer, struct client_name *name);
