/* One try to fetch an issuer's keys, from the look-up of its name to the parsed set. */
#pragma once

#include <openssl/types.h>

#include "ipc/issuer_fetch.h"

struct names;

enum {
	/* For all of it: an issuer that is slow keeps nobody but who asks for a key of its own
	 * waiting, and that no longer than a second. */
	FETCH_MS = 5 * 1000,
};

/* tls: of tls_client_new(), with authorities; for which server it is, is set here. The result says
 * what has failed. */
void fetch_keys(
	SSL_CTX *tls, struct names *names, const char *issuer, struct issuer_fetched *fetched);
