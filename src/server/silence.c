/* Makes peers anew that ask and are not heard. Runs in the broker, for a /connect. */
#include "server/silence.h"

#include "server/endpoint.h"
#include "server/give_back.h"

bool silence_is_over(struct endpoint *endpoint, struct peer *peer)
{
	uint64_t asked_ms = peer->asked_ms;

	if (peer->id.kind != PEER_WIREGUARD)
		return false;
	peer->asked_ms = clock_now_ms(endpoint->clock);
	return endpoint->device && asked_ms > peer->heard_ms && endpoint->read_ms > asked_ms &&
	       endpoint->read_ms - peer->heard_ms >= SILENCE_MS;
}

int silence_end(struct endpoint *endpoint, struct peer *peer)
{
	const struct plane_ops *ops = endpoint->plane->ops;
	const struct peer *const one = peer;
	int failure, error = ops->remove(endpoint->device, &peer->id, 1, &failure);

	if (error == 0)
		error = ops->add(endpoint->device, &peer->id);
	if (error == 0)
		error = give_back_sessions(endpoint, &one, 1);
	if (error == 0)
		peer->heard_ms = clock_now_ms(endpoint->clock);
	return error;
}
