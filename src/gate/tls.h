/* TLS as the contract has it: 1.2 or later, ALPN http/1.1 or none. */
#pragma once

#include <stdbool.h>

#include <openssl/ssl.h>

enum {
	/* Bytes, records' headers included: the client's first message, a second one if we ask for
	 * another key (RFC 8446, 4.1.4), and the end. The library would take 128 KB, in records of
	 * one byte too, and work 0.3 s on them in one go. */
	TLS_HANDSHAKE_MAX = 10 * 1024,
};

/* A context that makes server connections with this certificate chain, in PEM. Returns it, or NULL;
 * then tls_error() says why. */
SSL_CTX *tls_new(const char *certificate);

/* The private key that belongs to the certificate; the context takes a reference of its own.
 * Returns 0, or -EINVAL if it does not; then tls_error() says why. */
int tls_use_key(SSL_CTX *tls, EVP_PKEY *key);

/*
 * A server connection on a socket, which stays the caller's. Its handshake can stop in the middle,
 * ASYNC_start_job(3), where the key is not at hand. It fails as soon as the
 * client has sent TLS_HANDSHAKE_MAX bytes and it is not complete. Returns NULL, and then
 * tls_error() says why.
 */
SSL *tls_accept(SSL_CTX *tls, int fd);
/* When the handshake is complete: from here on any number of bytes may come. */
void tls_accepted(SSL *ssl);

/*
 * Goes through whole handshakes, good and failed ones, with itself: what the library opens, seeds
 * and allocates late is done with when this returns. While a signature is not there, it calls wait,
 * and gives up if that returns false. Returns 0 or -EIO, and then tls_error().
 */
int tls_warm_up(SSL_CTX *tls, bool (*wait)(void *context), void *context);
