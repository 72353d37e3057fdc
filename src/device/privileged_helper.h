/*
 * The one process that keeps a privilege: it opens sockets and sets their firewall mark when the
 * configuration changes, and removes the control socket's file at the end, also when the device has
 * crashed. It reads nothing but fixed-size requests from the device.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct privileged_helper {
	int fd; /* SOCK_SEQPACKET */
};

/*
 * Starts it; before there are threads. What is at the paths is unlinked when the device ends; NULL:
 * nothing. Returns 0 or -errno.
 */
int privileged_helper_start(struct privileged_helper *helper, const char *path);

/* As udp_open(). */
int privileged_helper_open_udp(
	struct privileged_helper *helper, int family, uint16_t port, uint32_t mark, bool shared);
/* As ipip_open(). */
int privileged_helper_open_ipip(
	struct privileged_helper *helper, struct in_addr local, uint32_t mark, bool fragmenting);
/* As ipip_programs_open() and its like. The maps are given out by the two after it, as copies for
 * the caller to close. */
int privileged_helper_open_programs(
	struct privileged_helper *helper, struct in_addr local, unsigned int tun);
int privileged_helper_tx_map(struct privileged_helper *helper);
int privileged_helper_rx_map(struct privileged_helper *helper);
int privileged_helper_attach_programs(struct privileged_helper *helper, unsigned int interface);
int privileged_helper_close_programs(struct privileged_helper *helper);

/* The longest super-packet that an interface may be given, by its ifindex; a kernel that cannot is
 * no error. Returns 0 or -errno. */
int privileged_helper_set_gso_size(
	struct privileged_helper *helper, unsigned int interface, unsigned int size);

/* Sets the mark of a socket. Returns 0 or -errno. */
int privileged_helper_set_mark(struct privileged_helper *helper, int fd, uint32_t mark);
