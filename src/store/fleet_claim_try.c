/* Chooses what an endpoint is to be, writes the claim, and brings the copy up to date. Runs in the
 * store's process. */
#include "store/fleet_claim_try.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/database.h"
#include "store/etcd_kv.h"
#include "store/fleet_collision.h"
#include "store/fleet_epochs.h"
#include "store/fleet_follow.h"
#include "store/fleet_late.h"
#include "store/fleet_merge.h"
#include "store/outbox.h"

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* An endpoint that the fleet does not know yet. */
static int add_new_endpoint(struct fleet *fleet, const struct stored_endpoint *endpoint,
	uint64_t revision, struct kv_transaction *transaction)
{
	struct record record, number;
	int error = record_of_endpoint(&fleet->maker, endpoint, &record);

	if (error == 0)
		error = record_of_number(&fleet->maker, endpoint, &number);
	if (error < 0)
		return error;
	/* One that was there and does not open is put right; its number stays given. */
	kv_compare_revision(transaction, record.name.s, revision);
	if (revision == 0)
		kv_compare_revision(transaction, number.name.s, 0);
	fleet_put(transaction, &record);
	fleet_put(transaction, &number);
	return 0;
}

/* The transaction of a claim. -EAGAIN: somebody has changed what it rests on. */
static int write_claim(struct fleet *fleet, struct served *served, const struct seen_address *seen,
	const struct fleet_holder *holder, const struct record *record)
{
	struct kv_transaction transaction;
	bool done = false;
	int error = 0;

	kv_begin(&transaction);
	kv_compare_revision(&transaction, record->name.s, seen ? seen->holder_revision : 0);
	fleet_put(&transaction, record);
	if (!seen || !seen->has_endpoint)
		error = add_new_endpoint(
			fleet, &served->endpoint, seen ? seen->endpoint_revision : 0, &transaction);
	transaction.is_broken |= error < 0;
	error = kv_commit(fleet->etcd, &transaction, &done);
	if (error < 0 || !done)
		return error < 0 ? error : -EAGAIN;
	served->written_revision = 0;
	served->holder = *holder;
	served->record = *record;
	return 0;
}

/* This host may have served the address by itself before. */
static void say_other_numbers(struct fleet *fleet, const struct served *served)
{
	const struct stored_endpoint *endpoint = &served->endpoint;
	const struct prefix block = {endpoint->network, (uint8_t)endpoint->length};
	struct stored_endpoint local;

	if (outbox_find_endpoint(fleet->outbox, served->bind, &local) &&
		!fleet_has_same_numbers(&local, endpoint))
		log_warning("endpoint %s: its fleet knows it by number %u, block %s, which holds: "
			    "what this host has promised there under number %u is given up",
			ipv4_text(served->bind).s, endpoint->index, prefix_text(block).s,
			local.index);
	key_wipe(&local.private_key);
}

/* What another host has promised is in the copy already, but for the last, where it was followed.
 */
static int merge(struct fleet *fleet, struct served *served, bool keep)
{
	int result;

	if (served->is_put_back)
		return 0;
	result = keep ? 0 : fleet_follow_rest(fleet, served);

	served->is_told = result > 0;
	if (result != 0)
		return result < 0 ? result : 0;
	return fleet_merge(fleet, served, keep);
}

/* keep: what the copy has of this address holds, and what etcd has besides. Else etcd's alone. */
static int bring_up_to_date(struct fleet *fleet, struct served *served, bool keep)
{
	const struct record *record = &served->record;
	int error = 0;

	say_other_numbers(fleet, served);
	if (keep)
		error = outbox_set_holder(fleet->outbox, served->bind, record->value, record->size);
	if (error == 0)
		error = merge(fleet, served, keep);
	if (error == 0)
		error = database_put_endpoint(fleet->database, &served->endpoint);
	if (error == 0 && !keep)
		error = outbox_calm(fleet->outbox, served->bind);
	if (error == 0)
		error = outbox_add_all(fleet->outbox, served->bind);
	if (error == 0 && !keep)
		error = outbox_set_holder(fleet->outbox, served->bind, record->value, record->size);
	return error;
}

/* What an endpoint is to be: as the fleet has it, or as it is here. Returns 1; 0: there is nothing
 * yet; or -errno. */
static int choose_endpoint(struct fleet *fleet, struct served *served,
	const struct seen_address *seen, bool is_joining)
{
	struct stored_endpoint local;
	const bool has_local = outbox_find_endpoint(fleet->outbox, served->bind, &local);
	const bool is_known = seen && seen->has_endpoint;
	const struct seen_address *other;
	int error;

	/* It is this host that has the wrong key. */
	if (seen && seen->is_foreign)
		return -ENOKEY;
	if (!is_known && !has_local)
		return 0;
	served->endpoint = is_known ? seen->endpoint : local;
	if (fleet->is_starting && is_known && has_local &&
		fleet_has_other_clients(fleet, &local, &seen->endpoint)) {
		served->state = SERVED_COLLIDES;
		return fleet_tell_collision(fleet, &local, served->bind, seen->holder.host);
	}
	/* What this host has used of it while etcd was away. */
	if (has_local && key_equal(&local.private_key, &served->endpoint.private_key))
		served->endpoint.floor_s = later(served->endpoint.floor_s, local.floor_s);
	/* The broker has taken it into use. */
	if (is_known && !is_joining && has_local &&
		!fleet_has_same_numbers(&local, &seen->endpoint)) {
		served->state = SERVED_COLLIDES;
		return fleet_tell_collision(fleet, &local, served->bind, NULL);
	}
	other = is_known ? NULL : fleet_view_collision(&fleet->view, &local);
	if (!other)
		return 1;
	served->state = SERVED_COLLIDES;
	error = fleet_tell_collision(fleet, &local, other->bind, NULL);
	if (!is_joining)
		fleet_give_number_up(fleet, served->bind);
	return error;
}

/* From which epoch on records hold. Where the holder's record has gone that of the endpoint, which
 * is written anew all the time, tells how far the epochs have come at least. */
static uint64_t floor_of(const struct seen_address *seen)
{
	if (seen && seen->holder.epoch > 0)
		return seen->holder.floor;
	return seen && seen->has_endpoint ? seen->endpoint.epoch : 0;
}

int fleet_claim_try(struct fleet *fleet, struct served *served, bool is_joining)
{
	const struct seen_address *seen = fleet_view_find(&fleet->view, served->bind);
	const struct fleet_holder latest = fleet_epochs_latest(fleet->outbox, served->bind);
	struct fleet_holder holder = {0};
	struct record record;
	bool keep, knows;
	int error = choose_endpoint(fleet, served, seen, is_joining);

	if (error <= 0)
		return error;
	served->is_put_back |= seen && (seen->is_put_back || fleet_follow_is_put_back(fleet, seen));
	knows = seen && outbox_knows_holder(fleet->outbox, served->bind, seen->value, seen->size);
	/* Else another host's promises may not have come into the copy yet. */
	served->is_own = is_joining && knows && seen->holder.floor == seen->holder.epoch;
	keep = !is_joining || !seen || !seen->has_endpoint || served->is_put_back || knows;
	holder.epoch = later(seen ? seen->holder.epoch : 0, served->endpoint.epoch);
	holder.epoch = later(holder.epoch, latest.epoch) + 1;
	holder.floor = later(floor_of(seen), latest.floor);
	strcpy(holder.host, fleet->host);
	if (!seen || !seen->has_endpoint)
		served->endpoint.epoch = holder.epoch;
	error = record_of_holder(&fleet->maker, served->bind, &holder, &record);
	/* Whoever dies between the two knows that it was us. */
	if (error == 0 && keep)
		error = outbox_set_next_holder(
			fleet->outbox, served->bind, record.value, record.size);
	if (error == 0)
		error = write_claim(fleet, served, seen, &holder, &record);
	if (error == 0)
		error = fleet_epochs_see(fleet->outbox, served->bind, &holder);
	if (error == 0)
		error = bring_up_to_date(fleet, served, keep);
	if (error == 0)
		error = outbox_clear_collision(fleet->outbox, served->bind);
	if (error == 0) {
		served->state = SERVED_CLAIMED;
		served->is_asked = served->is_foreign = false;
		served->claim_due_ms = 0;
		fleet_follow_anew(fleet, served->bind);
		served->active_due_ms = clock_now_ms(&system_clock) + FLEET_ACTIVE_MS;
		log_info("endpoint %s: claimed in etcd, epoch %llu", ipv4_text(served->bind).s,
			(unsigned long long)holder.epoch);
	}
	return error;
}

int fleet_claim_try_late(struct fleet *fleet, struct served *served)
{
	bool may_claim;
	int error = fleet_late_ask(fleet, served, &may_claim);

	if (error == 0 && may_claim)
		error = fleet_claim_try(fleet, served, false);
	if (error < 0 || served->state != SERVED_CLAIMED)
		return error;
	/* Where etcd has nothing that is not in the copy it was all told. */
	if (!served->is_put_back)
		error = fleet_late_tell(fleet, served);
	served->is_put_back = false;
	return error;
}
