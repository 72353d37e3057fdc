#include "device/shared.h"

#include <unistd.h>

void shared_request(struct shared *shared, struct peer *peer, uint32_t requests)
{
	static const uint64_t one = 1;

	if (peer_request(&shared->control.inbox, peer, requests) &&
		write(shared->wake, &one, sizeof one) < 0) {
		/* the counter is full: it is awake */
	}
}
