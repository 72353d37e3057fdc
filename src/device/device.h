/*
 * The embedded data plane: one process with a TUN device, UDP sockets and raw ones, workers, and a
 * control thread, whose state this is. It is made in setup.h, configured in peers.h, sockets.h and
 * links.h, and run by control_loop.h; uapi/ is how it is asked for.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/key.h"
#include "device/ipip/fast_path.h"
#include "device/privileged_helper.h"
#include "device/shared.h"
#include "device/sleep_watch.h"
#include "device/transmit.h"
#include "device/wireguard/handshake_load.h"
#include "device/wireguard/target.h"
#include "device/worker.h"

/* Where somebody is who reads the list of peers while it changes: peers.h. */
struct peer_cursor {
	struct target *next; /* the peer that is read next; NULL: there is no other */
	struct peer_cursor *other; /* of the device's */
};

/* When the fast path of IPIP must be brought up to date: fast_path_control.h. */
struct fast_path_schedule {
	bool stale; /* routes have changed */
	bool said; /* that there is none, though it is wanted */
	uint64_t refreshed_ms; /* all peers */
	uint64_t polled_ms; /* any */
	bool refreshes; /* a refresh of all peers is under way, and has come to this one */
	struct peer_cursor refreshed;
};

/* When the workers are to be told that routes have changed: links.h. */
struct route_changes {
	bool untold;
	uint64_t told_ms;
};

struct device {
	struct shared shared;
	struct privileged_helper helper;
	struct transmitter transmitter; /* the control thread's own */
	struct worker *workers;
	unsigned int n_workers;
	struct handshake_load load;
	struct target *first, *last; /* all peers, in the order they were made */
	struct peer_cursor *cursors; /* of those who read the list in several pieces */
	struct key private_key;
	uint16_t port; /* host byte order */
	uint32_t mark;
	struct in_addr ipip_local; /* of the raw socket, if there is one */
	unsigned int interface; /* ifindex in the namespace where it was made; 0: it has gone to
				 * another */
	int links; /* netlink socket: changes of interfaces, addresses, routes and rules */
	struct route_changes route_changes;
	struct sleep_watch sleep;
	bool no_fast_path; /* it is not wanted */
	struct fast_path fast_path;
	struct fast_path_schedule schedule;
};
