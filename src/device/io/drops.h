/* Packets that went nowhere, and why: counters of a device, which every thread adds to. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct drops {
	_Atomic uint64_t malformed; /* no IP packet, or no message */
	_Atomic uint64_t no_target; /* inner destination of no peer */
	_Atomic uint64_t no_endpoint; /* of a peer that has not been heard of */
	_Atomic uint64_t no_session; /* outer: of no key that we know */
	_Atomic uint64_t forged; /* not authentic */
	_Atomic uint64_t replayed;
	_Atomic uint64_t spoofed; /* inner source that is not the peer's */
	_Atomic uint64_t congested; /* so marked, of a sender that does not know of it: RFC 6040 */
	_Atomic uint64_t unknown_source; /* IPIP: outer source that is no peer */
	_Atomic uint64_t handshakes; /* more than the control thread can take */
	_Atomic uint64_t looped; /* sealed already, with the same key or for the same IPIP peer */
	_Atomic uint64_t unsent; /* refused by the socket or by the TUN */
};

static inline void count_drop(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}
