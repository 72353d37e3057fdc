/* Judges what was seen of a fleet, and says it once. Runs in the store's process. */
#include "store/fleet_health.h"

#include "base/log.h"
#include "store/fleet_state.h"

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

static void judge_keys(struct fleet *fleet)
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

void fleet_health_judge(struct fleet *fleet)
{
	judge_keys(fleet);
}
