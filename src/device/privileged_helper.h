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
int opener_raw(struct opener *opener, struct in_addr local, uint32_t mark, bool fragmenting);
/*
 * The short way of IPIP (ipip_program.h). Loads its programs for this local address, and hangs the
 * one for packets that leave on the TUN. Returns 0, or -errno: the kernel has it not. The maps that
 * are then filled are given out by the two after it.
 */
int opener_short_way(struct opener *opener, struct in_addr local, unsigned int tun);
int opener_map_out(struct opener *opener);
int opener_map_in(struct opener *opener);
/* Hangs the one for packets that arrive on an interface. Returns 0 or -errno. */
int opener_short_way_from(struct opener *opener, unsigned int interface);
/* Takes all of it away. */
int opener_no_short_way(struct opener *opener);

/* As tun_set_gso_size(). */
int opener_gso_size(struct opener *opener, unsigned int interface, unsigned int size);

/* Sets the mark of a socket. Returns 0 or -errno. */
int opener_mark(struct opener *opener, int fd, uint32_t mark);
