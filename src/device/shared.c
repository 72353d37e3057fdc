/* How workers wake the control thread. */
#include "device/shared.h"

#include <unistd.h>

void shared_wake(struct shared *shared)
{
	static const uint64_t one = 1;

	if (write(shared->wake, &one, sizeof one) < 0) {
		/* the counter is full: it is awake */
	}
}

void shared_request(struct shared *shared, struct wg_peer *peer, uint32_t requests)
{
	if (wg_peer_request(&shared->wireguard.inbox, peer, requests))
		shared_wake(shared);
}
