/* The client's side of TLS. It finds out who the server is; whether that is the right one is
 * decided by others. */
#pragma once

#include <stdbool.h>

#include <openssl/types.h>

#include "http/pin.h"

enum {
	TLS_FAULT_SIZE = 256, /* with the final NUL */
};

struct tls_server {
	struct pin pin;
	bool is_certified; /* its certificate is good by the authorities, and is for its name */
	char fault[TLS_FAULT_SIZE]; /* why it is not */
};

/* ca_fd: PEM certificates that make a server trustworthy, which is closed, or -1. server: the name
 * or address that these must be for. Returns NULL with *fault saying why. */
SSL_CTX *tls_client_new(int ca_fd, const char *server, const char **fault);

/* Has connections that are opened from now on be for another server than the one that the context
 * was made for, with authorities. Returns 0 or -EIO. */
int tls_client_require(SSL_CTX *tls, const char *server);

/* Of a connected socket, which stays the caller's: all but the handshake, for sockets that do not
 * block. Returns NULL with *fault saying why. */
SSL *tls_client_open(SSL_CTX *tls, int fd, const char *server, const char **fault);

/* Shakes hands on a connected socket, which stays the caller's; whoever the server is. Returns NULL
 * with *fault saying why. */
SSL *tls_client_connect(SSL_CTX *tls, int fd, const char *server, const char **fault);

/* Who the server is. Returns 0 or -EIO. */
int tls_client_inspect(const SSL *ssl, struct tls_server *server);
