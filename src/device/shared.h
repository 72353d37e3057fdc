/* What a device's workers and its control thread share: read without a lock by the workers,
 * changed by the control thread. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "device/wireguard/allowedips.h"
#include "device/control.h"
#include "base/epoch.h"
#include "device/io/tun.h"
#include "device/wireguard/staged_packets.h"

/* Packets that went nowhere, and why. */
struct drops {
	_Atomic uint64_t malformed; /* no IP packet, or no message */
	_Atomic uint64_t no_target; /* inner destination of no peer */
	_Atomic uint64_t no_endpoint; /* of a peer that has not been heard of */
	_Atomic uint64_t no_session; /* outer: of no key that we know */
	_Atomic uint64_t forged; /* not authentic */
	_Atomic uint64_t replayed;
	_Atomic uint64_t spoofed; /* inner source that is not the peer's */
	_Atomic uint64_t congested; /* so marked, of a sender that does not know of it: RFC 6040 */
	_Atomic uint64_t stranger; /* IPIP: outer source that is no peer */
	_Atomic uint64_t handshakes; /* more than the control thread can take */
	_Atomic uint64_t unsent; /* refused by the socket or by the TUN */
};

struct shared {
	struct tun tun;
	_Atomic uint32_t mtu; /* of the TUN, as far as it is known */
	struct epoch epoch;
	struct allowedips inner; /* to struct target */
	struct allowedips outer; /* of IPIP: to ipip_target.outer */
	struct control control;
	struct waiting_room waiting;
	struct drops drops;
	_Atomic bool said_plain; /* that a device refuses super-packets: once */
	int wake; /* eventfd of the control thread */
	int *udp4, *udp6; /* a socket for each worker; -1: none. The numbers stay while what is
			   * behind them changes (dup3()). */
	_Atomic int raw_fragmenting; /* as ipip_open() has it; -1 with raw */
	_Atomic int raw; /* IPIP, or -1: the same */
	_Atomic bool raw_errors; /* there are some for the control thread: ipip_read_error() */
};

static inline void count(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* Wakes the control thread. */
void shared_wake(struct shared *shared);

/* Asks the control thread for something that only it may do. */
void shared_request(struct shared *shared, struct peer *peer, uint32_t requests);
