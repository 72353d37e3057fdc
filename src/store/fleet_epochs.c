/* Which epochs this host has seen. Runs in the store's process. */
#include "store/fleet_epochs.h"

#include <stdbool.h>
#include <string.h>

#include "store/outbox.h"

int fleet_epochs_see(struct outbox *outbox, struct ipv4 bind, const struct fleet_holder *holder)
{
	return outbox_see_epoch(outbox, bind, holder->epoch, holder->floor);
}

struct fleet_holder fleet_epochs_latest(struct outbox *outbox, struct ipv4 bind)
{
	struct fleet_holder latest = {0};

	outbox_find_epoch(outbox, bind, &latest.epoch, &latest.floor);
	return latest;
}

/* A record that has gone, or does not open, tells nothing of an epoch. */
static bool is_put_back(const struct seen_address *seen, const struct fleet_holder *latest)
{
	return seen->holder.epoch > 0 && seen->holder.epoch < latest->epoch;
}

static void mark(struct fleet_view *view, struct seen_address *seen, uint64_t floor)
{
	seen->is_put_back = true;
	view->n_put_back++;
	view->put_back = seen->bind;
	if (seen->endpoint.epoch >= floor)
		return;
	seen->has_endpoint = false;
	explicit_bzero(&seen->endpoint, sizeof seen->endpoint);
}

void fleet_epochs_judge(struct outbox *outbox, struct fleet_view *view)
{
	for (size_t i = 0; i < view->n && outbox; i++) {
		struct seen_address *seen = &view->addresses[i];
		const struct fleet_holder latest = fleet_epochs_latest(outbox, seen->bind);

		if (is_put_back(seen, &latest))
			mark(view, seen, latest.floor);
	}
}
