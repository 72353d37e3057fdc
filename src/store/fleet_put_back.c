/* What becomes of an etcd that has gone back. Runs in the store's process. */
#include "store/fleet_put_back.h"

#include "base/log.h"
#include "store/etcd.h"
#include "store/fleet_epochs.h"
#include "store/fleet_state.h"

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
	if (!etcd_has_gone_back(fleet->etcd))
		return;
	log_warning("etcd was put back to what it held before: what this host holds is claimed and "
		    "written anew");
	claim_anew(fleet);
	keep_followed(fleet);
	history_begin_anew(&fleet->history);
}
