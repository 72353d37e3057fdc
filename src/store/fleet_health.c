/* Judges what was seen of a fleet, and says it once. Runs in the store's process. */
#include "store/fleet_health.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/etcd.h"
#include "store/fleet_state.h"

enum {
	CLOCK_AHEAD_S = 60, /* more is told */
	NS_PER_S = 1000000000,
};

/* Keys */

static void say_keys(struct fleet *fleet, uint32_t n_before)
{
	const struct stored_state *state = &fleet->state;

	if (fleet->knows_keys && (n_before > 0) == (state->n_need_second_key > 0))
		return;
	fleet->knows_keys = true;
	if (state->n_need_second_key > 0)
		log_info("the fleet's key: of %u addresses %u have records under the second key of "
			 "its file, such as %s",
			state->n_addresses, state->n_need_second_key,
			ipv4_text(state->needs_second_key).s);
	else
		log_info("the fleet's key: no record needs the second key of its file");
}

void fleet_health_judge_keys(struct fleet *fleet)
{
	struct stored_state *state = &fleet->state;
	const uint32_t n_before = state->n_need_second_key;

	if (!sealer_has_second_key(fleet->maker.sealer))
		return;
	state->n_addresses = (uint32_t)fleet->view.n;
	state->n_need_second_key = (uint32_t)fleet->view.n_need_second_key;
	state->needs_second_key = fleet->view.needs_second_key;
	say_keys(fleet, n_before);
}

/* The clock */

/* Of addresses that this host does not serve. */
static uint64_t latest_of_others(struct fleet *fleet)
{
	uint64_t latest_s = 0;

	for (size_t i = 0; i < fleet->view.n; i++) {
		const struct seen_address *seen = &fleet->view.addresses[i];

		if (seen->has_endpoint && seen->endpoint.floor_s > latest_s &&
			!fleet_find_served(fleet, seen->bind))
			latest_s = seen->endpoint.floor_s;
	}
	return latest_s;
}

void fleet_health_judge_clock(struct fleet *fleet)
{
	const int64_t now_s = (int64_t)(clock_wall_ns() / NS_PER_S);
	const int64_t others_s = (int64_t)latest_of_others(fleet);
	int64_t ahead_s = etcd_clock_ahead_s(fleet->etcd);
	const bool was_ahead = fleet->state.clock_ahead_s > 0;

	if (now_s - others_s < ahead_s)
		ahead_s = now_s - others_s;
	/* To the minute, so that it is not told anew with every answer. */
	fleet->state.clock_ahead_s =
		ahead_s > CLOCK_AHEAD_S ? (uint64_t)(ahead_s - ahead_s % CLOCK_AHEAD_S) : 0;
	if (!was_ahead && fleet->state.clock_ahead_s > 0)
		log_warning("the clock is %lld s ahead of the fleet's: if an address moves to "
			    "another host, clients refuse the handshakes that begin there for as "
			    "long, unless its device goes on from these",
			(long long)ahead_s);
	else if (was_ahead && fleet->state.clock_ahead_s == 0)
		log_info("the clock is not ahead of the fleet's any more");
}
