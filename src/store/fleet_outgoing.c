/* Sends what has changed at the addresses that this host holds, each time as their holder. Runs in
 * the store's process. */
#include "store/fleet_outgoing.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/etcd_kv.h"
#include "store/fleet_epochs.h"
#include "store/fleet_put_back.h"
#include "store/fleet_state.h"
#include "store/outbox.h"

enum {
	/* With the comparison, and the endpoint's own record, they are one transaction. */
	MOST_PEERS = KV_MOST_OPERATIONS - 8,
	/* Who removes the record again and again would have all of it written anew each time. */
	CLAIM_AGAIN_MS = 1000,
	CLAIM_AGAIN_MOST_MS = 32 * 1000,
};

/* At once; but where that was needed lately after a while, and each time after a longer one. Until
 * then clients get tunnels, which are kept in the copy. */
static void claim_again(struct served *served)
{
	const uint64_t now = clock_now_ms(&system_clock);

	if (now - served->lost_ms > 2 * CLAIM_AGAIN_MOST_MS)
		served->again_ms = 0;
	if (served->again_ms > 0)
		served->claim_due_ms = now + served->again_ms;
	served->state = SERVED_UNCLAIMED;
	served->lost_ms = now;
	served->again_ms = served->again_ms == 0 ? CLAIM_AGAIN_MS : 2 * served->again_ms;
	if (served->again_ms > CLAIM_AGAIN_MOST_MS)
		served->again_ms = CLAIM_AGAIN_MOST_MS;
}

/* Somebody has replaced our record of the holder, or what we wrote last is gone. */
static int find_new_holder(struct fleet *fleet, struct served *served)
{
	const struct seen_address *seen;
	int error = fleet_read_view(fleet);

	if (error < 0)
		return error;
	seen = fleet_view_find(&fleet->view, served->bind);
	if (seen && seen->holder.epoch > served->holder.epoch)
		return fleet_supersede(fleet, served, seen);
	if (served->state == SERVED_RELEASED) {
		served->state = SERVED_SUPERSEDED;
		return 0;
	}
	error = fleet_put_back_find(fleet, served);
	if (error != 0)
		return error < 0 ? error : 0;
	/* No host has: it was removed, or is no record. */
	log_warning(
		"endpoint %s: its holder's record in etcd was changed by no host, and is claimed "
		"again",
		ipv4_text(served->bind).s);
	claim_again(served);
	return 0;
}

static void begin_as_holder(const struct served *served, struct kv_transaction *transaction)
{
	kv_begin(transaction);
	fleet_compare_holder(transaction, served);
	fleet_compare_written(transaction, served);
}

/* last: of the records that it puts there. Returns 1 if it was done, 0 if we are not the holder any
 * more, or -errno. */
static int commit_as_holder(struct fleet *fleet, struct served *served,
	struct kv_transaction *transaction, const struct record *last)
{
	bool done = false;
	int error = kv_commit(fleet->etcd, transaction, &done);

	if (error < 0)
		return error;
	if (!done)
		return find_new_holder(fleet, served);
	fleet_keep_written(fleet, served, last);
	return 1;
}

static int send_peers(
	struct fleet *fleet, struct served *served, const struct outbox_entry *entries, size_t n)
{
	struct kv_transaction transaction;
	struct record record = {0};
	int result = 0;

	begin_as_holder(served, &transaction);
	for (size_t i = 0; i < n && result == 0; i++) {
		result = record_of_peer(&fleet->maker, &entries[i].message, entries[i].place,
			served->holder.epoch, &record);
		fleet_put(&transaction, &record);
	}
	transaction.is_broken |= result < 0;
	result = commit_as_holder(fleet, served, &transaction, &record);
	return result > 0 ? outbox_sent(fleet->outbox, entries, n) : result;
}

/* The endpoint and its number, sealed by us. */
static int put_endpoint(struct fleet *fleet, const struct served *served,
	struct kv_transaction *transaction, struct record *record)
{
	struct stored_endpoint endpoint = served->endpoint;
	struct record number;
	int error;

	endpoint.epoch = served->holder.epoch;
	error = record_of_endpoint(&fleet->maker, &endpoint, record);
	if (error == 0)
		error = record_of_number(&fleet->maker, &endpoint, &number);
	explicit_bzero(&endpoint, sizeof endpoint);
	if (error < 0)
		return error;
	fleet_put(transaction, record);
	fleet_put(transaction, &number);
	return 0;
}

static int send_endpoint(struct fleet *fleet, struct served *served)
{
	struct kv_transaction transaction;
	struct record record = {0};
	int result;

	begin_as_holder(served, &transaction);
	transaction.is_broken |= put_endpoint(fleet, served, &transaction, &record) < 0;
	result = commit_as_holder(fleet, served, &transaction, &record);
	if (result > 0)
		served->is_changed = false;
	return result < 0 ? result : 0;
}

/* All that there is of it is sealed under our epoch, and our key: peers that are older are no
 * longer valid. */
static int raise_floor(struct fleet *fleet, struct served *served)
{
	struct kv_transaction transaction;
	struct fleet_holder holder = served->holder;
	struct record record, endpoint;
	int result;

	holder.floor = holder.epoch;
	result = record_of_holder(&fleet->maker, served->bind, &holder, &record);
	if (result == 0)
		result = outbox_set_next_holder(
			fleet->outbox, served->bind, record.value, record.size);
	if (result < 0)
		return result;
	begin_as_holder(served, &transaction);
	fleet_put(&transaction, &record);
	transaction.is_broken |= put_endpoint(fleet, served, &transaction, &endpoint) < 0;
	result = commit_as_holder(fleet, served, &transaction, &endpoint);
	if (result <= 0)
		return result;
	served->is_changed = false;
	served->holder = holder;
	served->record = record;
	fleet_epochs_see(fleet->outbox, served->bind, &holder);
	log_debug("endpoint %s: all records in etcd are of epoch %llu", ipv4_text(served->bind).s,
		(unsigned long long)holder.epoch);
	return outbox_set_holder(fleet->outbox, served->bind, record.value, record.size);
}

/* One group of each address whose time has come. */
static int send_active(struct fleet *fleet, struct served *served, bool *more)
{
	const uint64_t now = clock_now_ms(&system_clock);
	uint32_t active_s[OUTBOX_GROUP];
	struct kv_transaction transaction;
	struct record record;
	struct ipv4 first;
	int result;

	result = outbox_take_active(fleet->outbox, served->bind, &first, active_s);
	if (result == 0)
		served->active_due_ms = now + FLEET_ACTIVE_MS;
	if (result <= 0)
		return result;
	*more = true;
	result = record_of_active(
		&fleet->maker, served->bind, first, active_s, served->holder.epoch, &record);
	if (result < 0)
		return result;
	begin_as_holder(served, &transaction);
	fleet_put(&transaction, &record);
	result = commit_as_holder(fleet, served, &transaction, &record);
	result = result > 0 ? outbox_sent_active(fleet->outbox, served->bind, first) : result;
	return result < 0 ? result : 1;
}

static bool is_raised(const struct served *served)
{
	return served->holder.floor == served->holder.epoch;
}

/* What is not urgent, a step at a time. */
static int send_rest(struct fleet *fleet, struct served *served, bool *more)
{
	int result = 0;

	if (served->is_changed)
		return send_endpoint(fleet, served);
	/* All is sealed anew before the floor is raised. */
	if (!is_raised(served) || clock_now_ms(&system_clock) >= served->active_due_ms)
		result = send_active(fleet, served, more);
	return result == 0 && !is_raised(served) ? raise_floor(fleet, served) : result;
}

static int send_of(struct fleet *fleet, struct served *served, bool *is_stored, bool *more)
{
	struct outbox_entry entries[MOST_PEERS];
	int n = outbox_take(fleet->outbox, served->bind, entries, MOST_PEERS), result;

	if (n < 0)
		return n;
	if (n == MOST_PEERS) {
		*more = true;
		if (entries[n - 1].is_urgent)
			*is_stored = false;
	}
	/* What comes after the peers is not to wait until something changes. */
	if (n > 0 && (served->is_changed || !is_raised(served)))
		*more = true;
	if (n > 0)
		return send_peers(fleet, served, entries, (size_t)n);
	/* Likewise what comes after the endpoint. */
	if (served->is_changed && !is_raised(served))
		*more = true;
	result = send_rest(fleet, served, more);
	return result < 0 ? result : 0;
}

int fleet_send_changes(struct fleet *fleet, bool *is_stored, bool *more)
{
	int error = 0;

	for (size_t i = 0; i < fleet->n_served && error == 0; i++) {
		struct served *served = &fleet->served[i];

		if (!fleet_is_held(served))
			continue;
		error = send_of(fleet, served, is_stored, more);
		/* It is to be claimed again, and nothing of it was written. */
		if (served->state == SERVED_UNCLAIMED) {
			*is_stored = false;
			*more = true;
		}
	}
	return error;
}
