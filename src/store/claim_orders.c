/* Claims and releases addresses as the broker says. Runs in the store's process. */
#include "store/claim_orders.h"

#include "ipc/packet.h"
#include "store/broker_socket.h"
#include "store/database.h"
#include "store/fleet.h"
#include "store/fleet_follow.h"

/* What cannot be read is as if there was nothing: the address is served all the same. */
static int tell_rows_of(struct database *database, struct ipv4 bind)
{
	size_t n_invalid;
	int error = database_load_one(database, bind, broker_socket_tell_row, NULL, &n_invalid);

	return packet_is_hung_up(error) ? error : 0;
}

/* Of one that the broker has made ready. */
static int tell_rest(struct database *database, struct fleet *fleet, struct ipv4 bind)
{
	int error;

	if (fleet && fleet_is_told(fleet, bind))
		return 0;
	error = broker_socket_tell_about(STORING_FOLLOW_ALL, bind);
	if (error == 0)
		error = tell_rows_of(database, bind);
	return error < 0 ? error : broker_socket_tell_about(STORING_FOLLOWED, bind);
}

static int tell_claimed(
	struct database *database, struct fleet *fleet, struct ipv4 bind, bool is_rest)
{
	int error = is_rest ? tell_rest(database, fleet, bind) : tell_rows_of(database, bind);

	return error < 0 ? error : broker_socket_tell_about(STORING_CLAIMED, bind);
}

static int answer_claim(
	struct database *database, struct fleet *fleet, const struct storing_message *order)
{
	const struct ipv4 bind = order->peer.bind;
	const bool is_rest = order->operation == STORING_CLAIM_REST;
	bool is_ours = true;
	int error = 0;

	/* Who has not made it ready is told all of it. */
	if (fleet && !is_rest)
		fleet_follow_anew(fleet, bind);
	if (fleet)
		error = order->operation == STORING_CLAIM_IF_LEFT
				? fleet_claim_if_left(fleet, bind, &is_ours)
				: fleet_claim(fleet, bind);
	if (error < 0)
		return error;
	return is_ours ? tell_claimed(database, fleet, bind, is_rest)
		       : broker_socket_tell_about(STORING_SUPERSEDED, bind);
}

bool claim_orders_is_claim(const struct storing_message *order)
{
	return order->operation == STORING_CLAIM || order->operation == STORING_CLAIM_REST ||
	       order->operation == STORING_CLAIM_IF_LEFT;
}

int claim_orders_answer(struct database *database, struct fleet *fleet,
	const struct storing_message *orders, size_t n)
{
	int error = 0;

	for (size_t i = 0; i < n && error == 0; i++) {
		const struct storing_message *order = &orders[i];

		if (claim_orders_is_claim(order))
			error = answer_claim(database, fleet, order);
		else if (order->operation == STORING_RELEASE && fleet)
			fleet_release(fleet, order->peer.bind);
	}
	return error;
}
