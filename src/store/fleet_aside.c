/* Puts addresses aside that cannot be claimed for what etcd has of them alone. Runs in the store's
 * process. */
#include "store/fleet_aside.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/fleet_state.h"
#include "store/outbox.h"

enum { AGAIN_MS = 1000 };

bool fleet_aside_is_of_one(int error)
{
	return error == -ENOKEY || error == -EAGAIN;
}

bool fleet_aside_is_due(const struct served *served, uint64_t now_ms)
{
	return served->state == SERVED_UNCLAIMED && now_ms >= served->claim_due_ms;
}

bool fleet_aside_holds_any(const struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->n_served; i++)
		if (fleet_is_held(&fleet->served[i]))
			return true;
	return false;
}

/* Who can claim none has the wrong key itself, and says that. */
void fleet_aside_put(const struct fleet *fleet, struct served *served, int error)
{
	served->claim_due_ms = clock_now_ms(&system_clock) + AGAIN_MS;
	if (error != -ENOKEY || served->is_foreign || !fleet_aside_holds_any(fleet))
		return;
	served->is_foreign = true;
	log_error("endpoint %s: what etcd has of it is sealed under another key: what is promised "
		  "of it here is not stored there",
		ipv4_text(served->bind).s);
}

static bool is_behind(const struct fleet *fleet, const struct served *served)
{
	struct outbox_entry entry;

	return served->state == SERVED_UNCLAIMED && served->claim_due_ms > 0 &&
	       outbox_take(fleet->outbox, served->bind, &entry, 1) > 0 && entry.is_urgent;
}

bool fleet_aside_is_behind(const struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->n_served; i++)
		if (is_behind(fleet, &fleet->served[i]))
			return true;
	return false;
}
