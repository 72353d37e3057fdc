/*
 * A signed token as a client shows it (JWT, RFC 7519, in the compact form of RFC 7515, 7.1). What
 * is read here is not verified yet: nothing of it holds before jwt_signature_is_right() and
 * jwt_claims_hold().
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "ipc/issuer.h"

enum {
	JWT_MAX = 8 * 1024, /* characters: the head of a request holds no more */
	JWT_SIGNATURE_MAX = ISSUER_MODULUS_MAX,
	JWT_DEPTH_MAX = 16, /* of brackets inside each other */
};

struct jwt {
	enum issuer_key_kind kind; /* that its algorithm needs: RS256 or ES256, no other */
	const char *kid; /* in the header */
	const char *iss; /* in the claims; who it says to be from */
	json_t *header, *claims; /* objects */
	const char *text; /* the caller's */
	size_t signed_length; /* of the text: what the signature is of */
	uint8_t signature[JWT_SIGNATURE_MAX];
	size_t signature_length;
};

/* The text must stay as long as the token. Returns 0, -EBADMSG for what is none, or is signed in
 * another way, or -ENOMEM. To be freed with jwt_free() in any case. */
int jwt_parse(const char *text, struct jwt *jwt);
void jwt_free(struct jwt *jwt);
