/* Packets between our own processes, over non-blocking or blocking SOCK_SEQPACKET sockets; nobody
 * ever waits. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Sends one packet. Returns 0 or -errno: -EAGAIN if there is no room. */
int packet_send(int fd, const void *packet, size_t length);

/*
 * Receives one packet. A buffer of one byte more than the message shows that a longer one is
 * longer. Returns its length, or -errno: -EAGAIN if there is none, -EPIPE at the end.
 */
int packet_receive(int fd, void *buffer, size_t size);

/*
 * To be called after descriptor_receive() and a look at what it received: error is 0 or -errno, and
 * is_due whether a packet of this kind comes with a descriptor. The descriptor stays the caller's
 * if there is no error and it came just as it was to; else it is closed, where there is one, and is
 * -1. Returns 0, the error, or -EPROTO.
 */
int packet_keep_descriptor(int error, bool is_due, int *descriptor);

/* Whether an error says that the other end is gone. */
bool packet_is_hung_up(int error);

/* Whether the other end is gone within so many milliseconds, whatever it has sent before. */
bool packet_hangs_up_within(int fd, int ms);
