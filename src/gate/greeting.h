/* Waiting for a client's first message without reading it: as long as it is not complete it lies in
 * the socket, in the kernel's memory. */
#pragma once

#include <stddef.h>

/*
 * Looks at what has come on a non-blocking socket. *seen is what had come at the last call, 0 at
 * the first. Returns 0 if a whole ClientHello is there; -EAGAIN if not: then the socket is readable
 * again only when it can be, or when the client has hung up. -ECONNRESET: it has; -EPROTO and
 * -EMSGSIZE as client_hello_check(), or another errno.
 */
int greeting_look(int fd, size_t *seen);
