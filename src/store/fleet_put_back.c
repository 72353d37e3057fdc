/* What becomes of an etcd that has gone back. Runs in the store's process. */
#include "store/fleet_put_back.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/etcd.h"
#include "store/etcd_kv.h"
#include "store/fleet_epochs.h"
#include "store/fleet_state.h"

enum {
	/* Who answers in etcd's place may count as it likes: all would be written again and again,
	 * with a line of the log each time. */
	AGAIN_MS = 10 * 1000,
};

static void claim_one_anew(struct served *served)
{
	served->state = SERVED_UNCLAIMED;
	served->is_put_back = true;
}

static void claim_anew(struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->n_served; i++) {
		if (fleet->served[i].state == SERVED_CLAIMED)
			claim_one_anew(&fleet->served[i]);
	}
}

static void keep_followed(struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->n_followed; i++) {
		struct followed_address *followed = &fleet->followed[i];

		followed->put_back_epoch = fleet_epochs_latest(fleet->outbox, followed->bind).epoch;
		followed->put_back_revision = 0;
	}
}

int fleet_put_back_find(struct fleet *fleet, struct served *served)
{
	struct kv_transaction transaction;
	bool is_there = false;
	int error;

	if (served->written_revision == 0)
		return 0;
	kv_begin(&transaction);
	fleet_compare_written(&transaction, served);
	error = kv_commit(fleet->etcd, &transaction, &is_there);
	if (error < 0 || is_there)
		return error;
	claim_one_anew(served);
	fleet->has_lost = true;
	return 1;
}

void fleet_put_back_judge(struct fleet *fleet)
{
	const uint64_t now = clock_now_ms(&system_clock);

	if (now < fleet->put_back_due_ms || (!etcd_has_gone_back(fleet->etcd) && !fleet->has_lost))
		return;
	fleet->has_lost = false;
	fleet->put_back_due_ms = now + AGAIN_MS;
	log_warning("etcd was put back to what it held before: what this host holds is claimed and "
		    "written anew");
	claim_anew(fleet);
	keep_followed(fleet);
	history_begin_anew(&fleet->history);
}
