/* The TUN device: several queues, each with its own file descriptor, and super-packets both ways.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <net/if.h>

enum {
	TUN_QUEUES_MAX = 64,
	/* What a read may return: a virtio_net_hdr, and a packet of any length. */
	TUN_READ_MAX = 10 + 65536,
	TUN_GSO_MAX = 65536, /* bytes of a super-packet, as the kernel has it at first */
};

struct tun {
	char name[IFNAMSIZ]; /* as the kernel gave it: it fills in a "%d" */
	unsigned int n_queues;
	int queues[TUN_QUEUES_MAX]; /* non-blocking */
	bool tso; /* the kernel's TCP super-packets come and go uncut */
	bool uso; /* and those of UDP */
};

/*
 * Makes the device. Reads and writes on its queues start with a virtio_net_hdr. Returns 0, -EBUSY
 * if there is one of this name in use, -ENODEV if there is no /dev/net/tun, or another errno.
 * Needs CAP_NET_ADMIN. On failure nothing is open.
 */
int tun_open(struct tun *tun, const char *name, unsigned int n_queues);

/* Goes on with a device that another process has opened. The queues are then its own. */
void tun_adopt(struct tun *tun, const char *name, const int *queues, unsigned int n_queues);

/* The device goes with its last queue. */
void tun_close(struct tun *tun);

/* Sets the MTU, and the length of the queue in packets. Returns 0 or -errno. */
int tun_configure(const struct tun *tun, unsigned int mtu, unsigned int queue);

/* Returns the MTU, or -errno. */
int tun_mtu(const struct tun *tun);
