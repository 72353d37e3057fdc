/* TLS as the contract has it: 1.2 or later, ALPN http/1.1 or none. */
#pragma once

#include <openssl/ssl.h>

/* The first byte a client sends: RFC 8446, 5.1, a record of type handshake. */
enum {
	TLS_FIRST_BYTE = 22,
};

/*
 * A context that makes server connections with this certificate chain and private key, both PEM.
 * Returns it, or NULL; then tls_error() says why.
 */
SSL_CTX *tls_new(const char *certificate, const char *key);

/*
 * Goes through whole handshakes, good and failed ones, with itself: what the library opens, seeds
 * and allocates late is done with when this returns. Returns 0 or -EIO, and then tls_error().
 */
int tls_warm_up(SSL_CTX *tls);

/* The library's last error in its words, and clears all of them. */
const char *tls_error(void);
