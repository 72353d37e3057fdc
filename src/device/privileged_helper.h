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

/* The files of the control socket and of the handover socket. */
enum { PRIVILEGED_HELPER_PATHS = 2 };

/*
 * Starts it; before there are threads. What is at the paths is unlinked when the device ends, if
 * the device owns them then: privileged_helper_own_paths(). Returns 0 or -errno.
 */
int privileged_helper_start(struct privileged_helper *helper,
	const char *const paths[PRIVILEGED_HELPER_PATHS], bool owns_paths);
/* Whether the files at the paths are this device's from now on, or another process's. Returns 0 or
 * -errno. */
int privileged_helper_own_paths(struct privileged_helper *helper, bool owned);

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
/* As ipip_programs_file(), but for a copy that is the caller's, and ipip_programs_adopt(), with a
 * descriptor that stays the caller's. */
int privileged_helper_give_program(struct privileged_helper *helper, unsigned int number);
int privileged_helper_adopt_program(struct privileged_helper *helper, unsigned int number, int fd);

/* The longest super-packet that an interface may be given, by its ifindex; a kernel that cannot is
 * no error. Returns 0 or -errno. */
int privileged_helper_set_gso_size(
	struct privileged_helper *helper, unsigned int interface, unsigned int size);

/* Sets the mark of a socket. Returns 0 or -errno. */
int privileged_helper_set_mark(struct privileged_helper *helper, int fd, uint32_t mark);
