/* What a device's workers and its control thread share: read without a lock by the workers,
 * changed by the control thread. */
#pragma once

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cache_line.h"
#include "base/epoch.h"
#include "device/io/drops.h"
#include "device/io/refusals.h"
#include "device/io/tun.h"
#include "device/ipip/ipip.h"
#include "device/wireguard/allowedips.h"
#include "device/wireguard/staged_packets.h"
#include "device/wireguard/wireguard.h"
#include "device/worker_pause.h"

struct shared {
	struct tun tun;
	_Atomic uint32_t mtu; /* of the TUN, as far as it is known */
	struct epoch epoch;
	struct worker_pause pause;
	struct allowedips inner; /* to struct target */
	struct wireguard wireguard;
	struct staged_packets staged;
	struct ipip ipip;
	/* In lines of their own: a flood of what is dropped must not keep taking away from all
	 * workers what each send reads, which follows. */
	_Alignas(CACHE_LINE) struct drops drops;
	_Alignas(CACHE_LINE) struct refusals refusals;
	_Atomic bool logged_loop; /* that a peer's route leads into the TUN: once */
	_Atomic in_addr_t source; /* IPv4: WireGuard is sent from here alone; 0: from anywhere */
	_Atomic uint32_t routes; /* another number each time that they may have changed */
	int wake; /* eventfd of the control thread */
	int *udp4, *udp6; /* a socket for each worker; -1: none. The numbers stay while what is
			   * behind them changes (dup3()). */
};

/* Wakes the control thread. */
void shared_wake(struct shared *shared);

/* Asks the control thread for something that only it may do: enum peer_request. */
void shared_request(struct shared *shared, struct wg_peer *peer, uint32_t requests);
