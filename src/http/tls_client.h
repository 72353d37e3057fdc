/* The client's side of TLS: who is on the other end is looked at, but not decided here. */
#pragma once

#include <openssl/ssl.h>

#include "client/request_message.h"

/* ca_fd: PEM certificates that make a server trustworthy, or -1. server: whom these must be for.
 * NULL with *fault saying why. */
SSL_CTX *fetch_tls_new(int ca_fd, const char *server, const char **fault);

/* Shakes hands on a connected socket. NULL with *fault saying why. */
SSL *fetch_tls_connect(SSL_CTX *tls, int fd, const char *server, const char **fault);

/* Who the server is. Returns 0 or -EIO. */
int fetch_tls_look(SSL *ssl, struct fetch_seen *seen);
