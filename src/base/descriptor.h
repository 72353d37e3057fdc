/* Packets that carry a file descriptor from one process to another: unix(7), SCM_RIGHTS. */
#pragma once

#include <stddef.h>

/*
 * Sends one packet, and a copy of a descriptor with it; none if it is negative. The descriptor
 * stays the caller's. flags: MSG_DONTWAIT not to wait, or 0. Returns 0 or -errno; -ETOOMANYREFS:
 * too many descriptors of the user's are on their way, to be tried again.
 */
int descriptor_send(int socket, const void *packet, size_t length, int descriptor, int flags);

/*
 * Receives one packet, and the descriptor that came with it, which is then the caller's
 * (close-on-exec); -1 if there was none. flags as above. Returns the packet's length; -EPIPE at
 * the end; -EPROTO if more descriptors came than one, and then there is none; or another -errno.
 */
int descriptor_receive(int socket, void *buffer, size_t size, int *descriptor, int flags);
