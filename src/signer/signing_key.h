/* The TLS private key, and what is done with it. */
#pragma once

#include <openssl/types.h>

#include "ipc/signing.h"

struct signing_key;

/*
 * Reads the key, in PEM, from a file of at most SIGNER_KEY_MAX bytes; what lay in between is wiped.
 * Returns it, or NULL; then tls_error() says why.
 */
struct signing_key *signing_key_read(int fd);
/* Takes an EVP_PKEY over, as signing_key_read() makes one of it. */
struct signing_key *signing_key_new(EVP_PKEY *pkey);
void signing_key_free(struct signing_key *key);

/* Fills in a request's digest and padding, with which this key can sign. */
void signing_key_suit(const struct signing_key *key, struct signing_request *request);

/*
 * Answers a request: signs its content, if that is what a TLS server signs and the key can. The
 * padding of RSA is made here: what a gate sends never gets to the key as it is.
 */
void signing_key_answer(struct signing_key *key, const struct signing_request *request,
	struct signing_reply *reply);
