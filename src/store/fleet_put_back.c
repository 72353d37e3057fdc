/* What becomes of an etcd that has gone back. Runs in the store's process. */
#include "store/fleet_put_back.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/etcd.h"
#include "store/fleet_epochs.h"
#include "store/fleet_state.h"

enum {
	/* Who answers in etcd's place may count as it likes: all would be written again and again,
	 * with a line of the log each time. */
	AGAIN_MS = 10 * 1000,
};

static void claim_anew(struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->n_served; i++) {
		struct served *served = &fleet->served[i];

		if (served->state != SERVED_CLAIMED)
			continue;
		served->state = SERVED_UNCLAIMED;
		served->is_put_back = true;
	}
}

static void keep_followed(struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->n_followed; i++) {
		struct followed_address *followed = &fleet->followed[i];

		followed->put_back_epoch = fleet_epochs_latest(fleet->outbox, followed->bind).epoch;
	}
}

void fleet_put_back_judge(struct fleet *fleet)
{
	const uint64_t now = clock_now_ms(&system_clock);

	if (now < fleet->put_back_due_ms || !etcd_has_gone_back(fleet->etcd))
		return;
	fleet->put_back_due_ms = now + AGAIN_MS;
	log_warning("etcd was put back to what it held before: what this host holds is claimed and "
		    "written anew");
	claim_anew(fleet);
	keep_followed(fleet);
	history_begin_anew(&fleet->history);
}
