/*
 * The first message of a TLS client, looked at while it still lies in the socket: whether it is
 * there, to its last byte. Until then a connection costs no TLS state. What the message says is the
 * library's business.
 */
#pragma once

#include <stddef.h>

enum {
	/* Bytes, with the headers of its records. Clients with post-quantum keys send 2 KB. */
	CLIENT_HELLO_MAX = 4 * 1024,
};

/*
 * Returns 0 if the first bytes of a connection are a whole ClientHello. Else -EAGAIN, with *needed
 * set to how many bytes there are to be before it is worth looking again; -EPROTO if they are none
 * (RFC 8446, 4 and 5.1), or -EMSGSIZE if it is larger than CLIENT_HELLO_MAX.
 */
int client_hello_check(const unsigned char *data, size_t length, size_t *needed);
