/*
 * The one process that keeps a privilege: it opens sockets and sets their firewall mark when the
 * configuration changes, and removes the control socket's file at the end, also when the device has
 * crashed. It reads nothing but fixed-size requests from the device.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct opener {
	int fd; /* SOCK_SEQPACKET */
};

/*
 * Starts it; before there are threads. What is at the paths is unlinked when the device ends; NULL:
 * nothing. Returns 0 or -errno.
 */
int opener_start(struct opener *opener, const char *path);

/* As udp_open(). */
int opener_udp(struct opener *opener, int family, uint16_t port, uint32_t mark, bool shared);
/* As ipip_open(). */
int opener_raw(struct opener *opener, struct in_addr local, uint32_t mark);
/* Sets the mark of a socket. Returns 0 or -errno. */
int opener_mark(struct opener *opener, int fd, uint32_t mark);
