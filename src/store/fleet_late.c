/* Claims late what was served without etcd. Runs in the store's process. */
#include "store/fleet_late.h"

#include "store/fleet_epochs.h"
#include "store/fleet_follow.h"
#include "store/fleet_state.h"
#include "store/fleet_watch.h"
#include "store/outbox.h"

/* The copy has seen every holder up to when etcd was lost. */
static bool is_taken(
	struct fleet *fleet, const struct served *served, const struct seen_address *seen)
{
	return seen &&
	       seen->holder.epoch > fleet_epochs_latest(fleet->outbox, served->bind).epoch &&
	       !outbox_knows_holder(fleet->outbox, served->bind, seen->value, seen->size);
}

int fleet_late_ask(struct fleet *fleet, struct served *served, bool *may_claim)
{
	const struct seen_address *seen = fleet_view_find(&fleet->view, served->bind);
	enum holder_answer answer;
	int error;

	*may_claim = true;
	if (!is_taken(fleet, served, seen))
		return 0;
	error = fleet_ask_holder(fleet, served, &answer);
	*may_claim = error == 0 && answer == HOLDER_HAS_LEFT;
	if (error < 0 || answer != HOLDER_SERVES)
		return error;
	served->is_wanted = true;
	return fleet_supersede(fleet, served, seen);
}

bool fleet_late_is_asking(const struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->n_served; i++)
		if (fleet->served[i].state == SERVED_UNCLAIMED && fleet->served[i].is_asked)
			return true;
	return false;
}

/* What the broker has ordered since is newer. */
int fleet_late_tell(struct fleet *fleet, const struct served *served)
{
	struct storing_message message = {.version = STORING_VERSION,
		.operation = STORING_CLAIMED_LATE,
		.sequence = fleet->written,
		.peer.bind = served->bind};
	int error = fleet->tell(&message);

	if (error == 0)
		error = fleet_tell_all(fleet, served->bind);
	message.operation = STORING_CLAIMED;
	message.sequence = 0;
	return error < 0 ? error : fleet->tell(&message);
}
