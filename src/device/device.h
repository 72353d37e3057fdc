/*
 * The embedded data plane: one process with a TUN device, UDP sockets and a raw one, workers, and
 * this, its control thread. What can be configured is here; uapi.h is how it is asked for.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/key.h"
#include "device/wireguard/handshake_load.h"
#include "device/privileged_helper.h"
#include "device/shared.h"
#include "device/target.h"
#include "device/worker.h"

enum {
	DEVICE_MTU = 1420, /* of the TUN; wg-quick sets another */
	DEVICE_QUEUE = 1000, /* packets */
};

enum { SHORT_WAY_UPLINKS = 64 };

/* short_way.h */
struct short_way {
	int map_out, map_in; /* -1: there is none */
	int netlink;
	unsigned int n_uplinks;
	unsigned int uplinks[SHORT_WAY_UPLINKS]; /* interfaces that the program for arriving packets
						  * hangs on */
	bool unwanted;
	bool stale; /* routes have changed */
	uint64_t refreshed_ms; /* all peers */
	uint64_t looked_ms; /* at any */
};

struct device {
	struct shared shared;
	struct opener opener;
	struct transmitter transmitter; /* the control thread's own */
	struct worker *workers;
	struct load load; /* of handshakes */
	unsigned int n_workers;
	struct target *first, *last; /* all peers, in the order they were made */
	struct key private_key;
	uint16_t port; /* host byte order */
	uint32_t mark;
	struct in_addr ipip_local; /* of the raw socket, if there is one */
	unsigned int interface; /* ifindex in the namespace where it was made */
	int links; /* netlink socket: changes of interfaces, IPv4 addresses and routes */
	struct short_way short_way;
};

/* Opens everything and starts the opener, which unlinks uapi_path at the end. 0 workers: one a
 * core. Returns 0 or -errno; then device_free() must not be called. */
int device_init(
	struct device *device, const char *name, unsigned int n_workers, const char *uapi_path);
/* Starts the workers, and gives up all rights. */
int device_start(struct device *device);
void device_free(struct device *device);

/* The control thread's turn: after the wake eventfd, or device_deadline_ms(). Returns false when
 * the TUN device is gone. */
bool device_run(struct device *device);
/* Until when it may sleep: ms from now, -1 for ever. */
int device_timeout_ms(const struct device *device);

/* The following return 0 or a negative errno, and change nothing then. */
int device_set_private_key(struct device *device, const struct key *key);
int device_set_port(struct device *device, uint16_t port);
int device_set_mark(struct device *device, uint32_t mark);

struct wireguard_target *device_find(struct device *device, const struct key *public_key);
int device_add(
	struct device *device, const struct key *public_key, struct wireguard_target **target);
void device_remove(struct device *device, struct target *target);
/* All of one kind. */
void device_remove_all(struct device *device, enum target_kind kind);

/* Opens the raw socket on this address, or moves it there. */
int device_set_ipip_local(struct device *device, struct in_addr local);
struct ipip_target *device_find_ipip(struct device *device, struct in_addr remote);
/* Makes the peer, or gives it another inner address. -EADDRINUSE: another peer has it. */
int device_set_ipip(struct device *device, struct in_addr remote, struct in_addr inner);
