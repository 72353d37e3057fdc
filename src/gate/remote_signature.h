/*
 * What a provider of OpenSSL's (provider(7)) does to sign with a key that is not here. Part of
 * remote_key.h.
 */
#pragma once

#include <openssl/core_dispatch.h>
#include <openssl/types.h>

#include "ipc/signing.h"

/* An entry of a table of functions: OSSL_DISPATCH(3). */
#define PROVIDER_FUNCTION(id, function)                                                            \
	{                                                                                          \
		id, (void (*)(void))(function)                                                     \
	}

/* Who has the private half. sign() makes the signature of request's content; id is left to it. It
 * returns 0 or -errno; signature has room for SIGNATURE_MAX bytes. */
struct remote_signer {
	int (*sign)(
		void *context, struct signing_request *request, uint8_t *signature, size_t *length);
	void *context;
};

struct remote_key {
	EVP_PKEY *public_key; /* of the library's own making */
	const struct remote_signer *signer;
};

/* Of OSSL_OP_SIGNATURE, provider-signature(7); its keys are struct remote_key. */
extern const OSSL_DISPATCH remote_signature_functions[];
