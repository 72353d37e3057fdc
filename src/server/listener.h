/* The sockets that the gates accept on. */
#pragma once

#include "base/ipv4.h"

/*
 * Listens on address:port, also while no interface has the address. A port that is taken is tried
 * again for a moment, since the gates of a server that was killed may hold it that much longer.
 * Returns the socket (close-on-exec, non-blocking) or -errno.
 */
int listener_open(struct ipv4 address, unsigned short port);
