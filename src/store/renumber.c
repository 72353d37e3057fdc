/* Says which endpoints collide, and forgets those that it is told to. Runs in the store's process,
 * which `vprox fleet renumber` has started. */
#include "store/renumber.h"

#include <errno.h>
#include <poll.h>

#include "ipc/packet.h"
#include "store/outbox.h"

static int tell_collision(
	struct outbox *outbox, struct ipv4 bind, struct ipv4 other, renumber_tell_fn *tell)
{
	struct storing_message message = {
		.version = STORING_VERSION,
		.operation = STORING_COLLIDES,
		.peer.bind = other,
	};

	/* Somebody else has removed it. */
	if (!outbox_find_endpoint(outbox, bind, &message.endpoint))
		return outbox_clear_collision(outbox, bind);
	key_wipe(&message.endpoint.private_key);
	return tell(&message);
}

static int tell_collisions(struct outbox *outbox, renumber_tell_fn *tell)
{
	const struct storing_message end = {
		.version = STORING_VERSION, .operation = STORING_LOADED};
	struct ipv4 bind = {0}, other;
	int found;

	while ((found = outbox_next_collision(outbox, &bind, &other)) > 0) {
		int error = tell_collision(outbox, bind, other, tell);

		if (error < 0)
			return error;
	}
	return found < 0 ? found : tell(&end);
}

static int handle(
	struct outbox *outbox, const struct storing_message *order, renumber_tell_fn *tell)
{
	const struct storing_message done = {.version = STORING_VERSION,
		.operation = STORING_DURABLE,
		.sequence = order->sequence};
	int error = -EPROTO;

	if (order->operation == STORING_FORGET)
		error = outbox_abandon(outbox, order->peer.bind);
	return error < 0 ? error : tell(&done);
}

static int serve(struct outbox *outbox, renumber_tell_fn *tell)
{
	struct storing_message order;
	int error = 0;

	while (error == 0) {
		struct pollfd readable = {.fd = STORE_FD_BROKER, .events = POLLIN};

		poll(&readable, 1, -1);
		error = storing_receive_order(STORE_FD_BROKER, &order);
		if (error == 0)
			error = handle(outbox, &order, tell);
		else if (error == -EAGAIN || error == -EINTR)
			error = 0;
	}
	return packet_is_hung_up(error) ? 0 : error;
}

int renumber_serve(struct database *database, renumber_tell_fn *tell)
{
	struct outbox *outbox;
	int error = outbox_open(database, &outbox);

	if (error < 0)
		return error;
	error = tell_collisions(outbox, tell);
	if (error == 0)
		error = serve(outbox, tell);
	outbox_close(outbox);
	return error;
}
