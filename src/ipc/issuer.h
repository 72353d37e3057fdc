/*
 * Issuers of tokens (OpenID Connect): what is asked of a token of theirs, and the public keys that
 * they sign with. Of fixed size, for they go from process to process: the configuration from the
 * broker to the gates, the keys from the process that fetches them (src/oidc/) by way of the
 * broker.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	ISSUERS_MAX = 8,
	ISSUER_URL_SIZE = 256, /* with the final NUL, as all of these */
	ISSUER_AUDIENCE_SIZE = 256,
	ISSUER_CLAIM_SIZE = 64,
	ISSUER_LABEL_SIZE = 33,
	ISSUER_RULES_SIZE = 4096,

	ISSUER_KEYS_MAX = 32, /* of one issuer */
	ISSUER_KID_SIZE = 128,
	ISSUER_MODULUS_MIN = 256, /* bytes: 2048 bits */
	ISSUER_MODULUS_MAX = 1024,
	ISSUER_EXPONENT_MAX = 4, /* bytes: all that is in use, and no long computation */
	ISSUER_COORDINATE_SIZE = 32, /* of P-256 */
};

/* What a token must have to be good. */
struct issuer {
	char url[ISSUER_URL_SIZE]; /* as the claim "iss" has it */
	char audience[ISSUER_AUDIENCE_SIZE]; /* "": not checked */
	char name_claim[ISSUER_CLAIM_SIZE]; /* which one is the client's name */
	char label[ISSUER_LABEL_SIZE]; /* what names of its clients begin with; "": with nothing */
	uint32_t is_name_optional; /* 1: a token without one is good all the same */
	/* CLAIM:GLOB, as many as there are, each with its NUL; an empty one is the end. Of those
	 * with one claim one must match, and so for each claim. */
	char rules[ISSUER_RULES_SIZE];
};

/* The rule after this one, which must not be the end; what issuer->rules begins with is the first.
 */
const char *issuer_next_rule(const char *rule);
/* Whether it can be a label: of letters, digits and . _ -, so that in a name its end is known. */
bool issuer_is_label(const char *text);
/* Returns 0, -EINVAL if it is no CLAIM:GLOB, or -ENOSPC. */
int issuer_add_rule(struct issuer *issuer, const char *rule);
/* Whether what was received makes sense: all texts end, none that must be there is empty. */
bool issuer_is_valid(const struct issuer *issuer);

enum issuer_key_kind {
	ISSUER_KEY_RSA = 1, /* for RS256 */
	ISSUER_KEY_P256, /* for ES256 */
	ISSUER_KEY_KIND_END,
};

struct issuer_key {
	uint32_t kind; /* enum issuer_key_kind */
	uint32_t modulus_length; /* bytes; 0 of P-256 */
	uint32_t exponent; /* 0 of P-256 */
	char kid[ISSUER_KID_SIZE]; /* printable; zero after its end */
	/* Big-endian: RSA's modulus, without leading zeros; of P-256 the coordinates x and y. */
	uint8_t bytes[ISSUER_MODULUS_MAX];
};

/* Whether it can be one of those that are taken: sizes and ranges, kid, and zeros where there is
 * nothing. That a point is on the curve the library checks, when the key is used. */
bool issuer_key_is_valid(const struct issuer_key *key);
