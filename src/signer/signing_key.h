/* The TLS private key, and what is done with it. */
#pragma once

#include <openssl/types.h>

#include "ipc/signing.h"

/*
 * Reads the key, in PEM, from a file of at most SIGNER_KEY_MAX bytes; what lay in between is wiped.
 * Returns it, to be freed with EVP_PKEY_free(), or NULL; then tls_error() says why.
 */
EVP_PKEY *signing_key_read(int fd);

/*
 * Answers a request: signs its content, if that is what a TLS server signs and the key can. The
 * padding of RSA is made here: what a gate sends never gets to the key as it is.
 */
void signing_key_answer(
	EVP_PKEY *key, const struct signing_request *request, struct signing_reply *reply);
