/* Has etcd's history compacted. Runs in the store's process. */
#include "store/fleet_history.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/etcd.h"
#include "store/etcd_kv.h"
#include "store/fleet_state.h"

enum {
	SHORTEST_LEASE_S = 5,
};

static int find_any(void *context, const struct kv *kv)
{
	(void)kv;
	*(bool *)context = true;
	return 0;
}

/* Whoever puts the record does it this time. It stays for as long as two samples take, also when
 * its host has died. *is_ours: that is us. */
static int take_turn(struct fleet *fleet, bool *is_ours)
{
	static const uint8_t nothing[] = {'!'};
	const struct record_name name =
		record_prefix(fleet->name, RECORD_COMPACTOR, (struct ipv4){0});
	const uint64_t turn_s = fleet->history.keep_ms * 2 / HISTORY_PARTS / 1000;
	struct kv_transaction transaction;
	bool is_taken = false;
	uint64_t lease;
	int error = kv_read(fleet->etcd, name.s, find_any, &is_taken);

	*is_ours = false;
	if (error < 0 || is_taken)
		return error;
	error = kv_grant_lease(
		fleet->etcd, turn_s > SHORTEST_LEASE_S ? turn_s : SHORTEST_LEASE_S, &lease);
	if (error < 0)
		return error;
	kv_begin(&transaction);
	kv_compare_revision(&transaction, name.s, 0);
	kv_put_leased(&transaction, name.s, nothing, sizeof nothing, lease);
	return kv_commit(fleet->etcd, &transaction, is_ours);
}

static int compact(struct fleet *fleet, uint64_t up_to)
{
	bool is_ours;
	int error = take_turn(fleet, &is_ours);

	if (error < 0 || !is_ours)
		return error;
	error = kv_compact(fleet->etcd, up_to);
	/* Somebody else sees to it. */
	if (error == -EALREADY)
		error = 0;
	else if (error == 0)
		log_info("etcd's history was compacted up to revision %llu",
			(unsigned long long)up_to);
	if (error == 0)
		fleet->history.compacted = up_to;
	return error;
}

int fleet_compact(struct fleet *fleet)
{
	struct history *history = &fleet->history;
	const uint64_t now = clock_now_ms(&system_clock), revision = etcd_revision(fleet->etcd);
	uint64_t up_to;
	int error;

	if (revision == 0 || !history_is_due(history, now))
		return 0;
	up_to = history_add(history, now, revision);
	if (up_to == 0)
		return 0;
	error = compact(fleet, up_to);
	if (error == -EPIPE)
		return error;
	if (error < 0 && error != history->told)
		log_warning("etcd's history cannot be compacted, and grows unless somebody else "
			    "sees to it: %s",
			etcd_error(fleet->etcd));
	history->told = error;
	return 0;
}
