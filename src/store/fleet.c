/* Claims addresses, and sends what has changed to etcd. Runs in the store's process. */
#include "store/fleet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/database.h"
#include "store/etcd.h"
#include "store/etcd_kv.h"
#include "store/fleet_follow.h"
#include "store/fleet_health.h"
#include "store/fleet_history.h"
#include "store/fleet_merge.h"
#include "store/fleet_watch.h"
#include "store/outbox.h"

enum {
	JOIN_MS = 7000, /* at the start, for its first answer; the broker waits longer */
	READ_MS = 30000, /* for all there is, from one that answers */
	CLAIM_MS = 2000, /* likewise, when an address has just come; the broker waits longer */
	SEND_MS = 30000, /* for all that is sent in one turn */
	RETRY_MS = 1000,
	KEYS_MS = 2000, /* while there are two, between two looks at which are needed */
	/* Of hosts that claim at the same time one succeeds each time. */
	MOST_TRIES = 16,
	ACTIVE_MS = 5 * 60 * 1000, /* between two records of activity of a group */
	/* With the comparison, and the endpoint's own record, they are one transaction. */
	MOST_PEERS = KV_MOST_OPERATIONS - 8,
};

/* What is said */

static int tell_collision(
	struct fleet *fleet, const struct stored_endpoint *endpoint, struct ipv4 whose)
{
	struct storing_message message = {
		.version = STORING_VERSION,
		.operation = STORING_COLLIDES,
		.endpoint = *endpoint,
		.peer.bind = whose,
	};
	int error;

	explicit_bzero(&message.endpoint.private_key, sizeof message.endpoint.private_key);
	/* What its fleet knows it by holds from the next start on. */
	if (!ipv4_equal(endpoint->bind, whose))
		outbox_set_collision(fleet->outbox, endpoint->bind, whose);
	error = fleet->tell(&message);
	return error < 0 ? error : -EEXIST;
}

static void say_once(struct fleet *fleet, int error)
{
	const bool cannot_write = error < 0;

	if (cannot_write && !fleet->cannot_write)
		log_error("cannot write to etcd, will try again every second: %s",
			fleet_why(fleet, error));
	else if (!cannot_write && fleet->cannot_write)
		log_info("etcd can be written again");
	fleet->cannot_write = cannot_write;
}

/* Claims */

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static bool has_same_numbers(const struct stored_endpoint *a, const struct stored_endpoint *b)
{
	return a->index == b->index && a->port == b->port && a->length == b->length &&
	       ipv4_equal(a->network, b->network);
}

static void put(struct kv_transaction *transaction, const struct record *record)
{
	kv_put(transaction, record->name.s, record->value, record->size);
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
	put(transaction, &record);
	put(transaction, &number);
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
	put(&transaction, record);
	if (!seen || !seen->has_endpoint)
		error = add_new_endpoint(
			fleet, &served->endpoint, seen ? seen->endpoint_revision : 0, &transaction);
	transaction.is_broken |= error < 0;
	error = kv_commit(fleet->etcd, &transaction, &done);
	if (error < 0 || !done)
		return error < 0 ? error : -EAGAIN;
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
		!has_same_numbers(&local, endpoint))
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
	int result = keep ? 0 : fleet_follow_rest(fleet, served);

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

	/* It is this host that has the wrong key. */
	if (seen && seen->is_foreign)
		return -ENOKEY;
	if (!is_known && !has_local)
		return 0;
	served->endpoint = is_known ? seen->endpoint : local;
	/* What this host has used of it while etcd was away. */
	if (has_local && key_equal(&local.private_key, &served->endpoint.private_key))
		served->endpoint.floor_s = later(served->endpoint.floor_s, local.floor_s);
	/* The broker has taken it into use. */
	if (is_known && !is_joining && has_local && !has_same_numbers(&local, &seen->endpoint)) {
		served->state = SERVED_COLLIDES;
		return tell_collision(fleet, &local, served->bind);
	}
	other = is_known ? NULL : fleet_view_collision(&fleet->view, &local);
	if (!other)
		return 1;
	served->state = SERVED_COLLIDES;
	return tell_collision(fleet, &local, other->bind);
}

/* From which epoch on records hold. Where the holder's record has gone that of the endpoint, which
 * is written anew all the time, tells how far the epochs have come at least. */
static uint64_t floor_of(const struct seen_address *seen)
{
	if (seen && seen->holder.epoch > 0)
		return seen->holder.floor;
	return seen && seen->has_endpoint ? seen->endpoint.epoch : 0;
}

static int claim(struct fleet *fleet, struct served *served, bool is_joining)
{
	const struct seen_address *seen = fleet_view_find(&fleet->view, served->bind);
	struct fleet_holder holder = {0};
	struct record record;
	bool keep;
	int error = choose_endpoint(fleet, served, seen, is_joining);

	if (error <= 0)
		return error;
	keep = !is_joining || !seen || !seen->has_endpoint ||
	       outbox_knows_holder(fleet->outbox, served->bind, seen->value, seen->size);
	holder.epoch = later(seen ? seen->holder.epoch : 0, served->endpoint.epoch) + 1;
	holder.floor = floor_of(seen);
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
		error = bring_up_to_date(fleet, served, keep);
	if (error == 0)
		error = outbox_clear_collision(fleet->outbox, served->bind);
	if (error == 0) {
		served->state = SERVED_CLAIMED;
		fleet_follow_anew(fleet, served->bind);
		served->active_due_ms = clock_now_ms(&system_clock) + ACTIVE_MS;
		log_info("endpoint %s: claimed in etcd, epoch %llu", ipv4_text(served->bind).s,
			(unsigned long long)holder.epoch);
	}
	return error;
}

static bool is_unclaimed(const struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->n_served; i++)
		if (fleet->served[i].state == SERVED_UNCLAIMED)
			return true;
	return false;
}

/* A collision of one keeps no other from being claimed. */
static int claim_all(struct fleet *fleet, bool is_joining)
{
	bool collides = false;
	int error = fleet_read_view(fleet);

	/* It is there: what it has is worth more time than a copy that may be older. */
	if (error == 0 && is_joining)
		etcd_set_deadline(fleet->etcd, clock_now_ms(&system_clock) + READ_MS);

	for (size_t i = 0; i < fleet->n_served && error == 0; i++) {
		if (fleet->served[i].state != SERVED_UNCLAIMED)
			continue;
		error = claim(fleet, &fleet->served[i], is_joining);
		collides |= error == -EEXIST;
		error = error == -EEXIST ? 0 : error;
	}
	return error == 0 && collides && is_joining ? -EEXIST : error;
}

int fleet_open_copy(struct fleet *fleet, struct database *database)
{
	fleet->database = database;
	return outbox_open(database, &fleet->outbox);
}

void fleet_close_copy(struct fleet *fleet)
{
	outbox_close(fleet->outbox);
	fleet->outbox = NULL;
}

/* Without etcd: what is to be claimed is claimed when it is back. */
static void go_on_without(struct fleet *fleet, int error)
{
	log_error("etcd cannot be asked, what it held last is taken instead: %s",
		fleet_why(fleet, error));
	fleet->cannot_write = true;
	fleet->retry_ms = clock_now_ms(&system_clock) + RETRY_MS;
}

int fleet_join(struct fleet *fleet)
{
	int error = -EAGAIN;

	etcd_set_deadline(fleet->etcd, clock_now_ms(&system_clock) + JOIN_MS);
	for (int i = 0; i < MOST_TRIES && error == -EAGAIN; i++)
		error = claim_all(fleet, true);
	etcd_set_deadline(fleet->etcd, 0);
	fleet_health_judge_clock(fleet);
	if (error == 0 || error == -EEXIST || error == -EPIPE)
		return error;
	go_on_without(fleet, error);
	return 0;
}

/* NULL: there is no room for another one. */
static struct served *find_or_add_served(struct fleet *fleet, struct ipv4 bind)
{
	struct served *served = fleet_find_served(fleet, bind);

	if (served || fleet->n_served == STORE_MOST_SERVED)
		return served;
	served = &fleet->served[fleet->n_served++];
	*served = (struct served){.bind = bind};
	return served;
}

/* With what the copy has; it is made up for later. Returns 0 or -EPIPE. */
static int claim_without(struct fleet *fleet, int error)
{
	if (error == -EPIPE)
		return error;
	if (error < 0 && error != -EEXIST)
		go_on_without(fleet, error);
	return 0;
}

/* That there is something to be waited for; the peers may take a while. */
static int tell_endpoint(const struct fleet *fleet, struct ipv4 bind)
{
	const struct seen_address *seen = fleet_view_find(&fleet->view, bind);
	struct storing_message message = {
		.version = STORING_VERSION, .operation = STORING_ENDPOINT};
	int error;

	if (!seen || !seen->has_endpoint)
		return 0;
	message.endpoint = seen->endpoint;
	error = fleet->tell(&message);
	explicit_bzero(&message, sizeof message);
	return error;
}

int fleet_claim(struct fleet *fleet, struct ipv4 bind)
{
	struct served *served = find_or_add_served(fleet, bind);
	int error = -EAGAIN;

	if (!served)
		return 0;
	explicit_bzero(served, sizeof *served);
	served->bind = bind;
	etcd_set_deadline(fleet->etcd, clock_now_ms(&system_clock) + CLAIM_MS);
	for (int i = 0; i < MOST_TRIES && error == -EAGAIN; i++) {
		error = fleet_read_view(fleet);
		if (error == 0)
			error = tell_endpoint(fleet, bind);
		/* It is there: what it has is worth more time. */
		etcd_set_deadline(fleet->etcd, clock_now_ms(&system_clock) + READ_MS);
		if (error == 0)
			error = claim(fleet, served, true);
	}
	etcd_set_deadline(fleet->etcd, 0);
	return claim_without(fleet, error);
}

int fleet_claim_if_left(struct fleet *fleet, struct ipv4 bind, bool *is_ours)
{
	struct served *served = find_or_add_served(fleet, bind);
	const struct seen_address *seen;
	bool is_left = true;
	int error;

	*is_ours = true;
	/* It was claimed, or is to be, by a store that was started again. */
	if (!served || served->state == SERVED_CLAIMED)
		return 0;
	etcd_set_deadline(fleet->etcd, clock_now_ms(&system_clock) + CLAIM_MS);
	error = fleet_read_view(fleet);
	seen = fleet_view_find(&fleet->view, bind);
	if (error == 0 && seen && seen->holder.epoch > 0)
		error = fleet_ask_holder(fleet, served, &is_left);
	etcd_set_deadline(fleet->etcd, 0);
	if (error == 0 && is_left)
		return fleet_claim(fleet, bind);
	*is_ours = false;
	served->is_wanted = true;
	served->state = SERVED_SUPERSEDED;
	return error == -EPIPE ? error : 0;
}

bool fleet_is_told(struct fleet *fleet, struct ipv4 bind)
{
	const struct served *served = fleet_find_served(fleet, bind);

	return (served && served->is_told) || fleet_is_followed(fleet, bind);
}

void fleet_release(struct fleet *fleet, struct ipv4 bind)
{
	struct served *served = fleet_find_served(fleet, bind);

	fleet_follow_anew(fleet, bind);
	if (!served)
		return;
	served->is_wanted = false;
	/* Who was active last comes first at the next host. */
	served->active_due_ms = 0;
	if (served->state == SERVED_CLAIMED)
		served->state = SERVED_RELEASED;
	else if (served->state == SERVED_UNCLAIMED)
		served->state = SERVED_SUPERSEDED;
}

/* Orders */

static void prepare_endpoint(struct fleet *fleet, struct stored_endpoint *endpoint)
{
	struct served *served = find_or_add_served(fleet, endpoint->bind);

	if (!served || served->state != SERVED_CLAIMED)
		return;
	endpoint->epoch = served->endpoint.epoch;
	if (!has_same_numbers(endpoint, &served->endpoint)) {
		served->state = SERVED_COLLIDES;
		tell_collision(fleet, endpoint, endpoint->bind);
		return;
	}
	if (endpoint->floor_s < served->endpoint.floor_s)
		endpoint->floor_s = served->endpoint.floor_s;
	if (!key_equal(&endpoint->private_key, &served->endpoint.private_key) ||
		endpoint->floor_s != served->endpoint.floor_s) {
		served->endpoint.private_key = endpoint->private_key;
		served->endpoint.floor_s = endpoint->floor_s;
		served->is_changed = true;
	}
}

void fleet_prepare(struct fleet *fleet, struct storing_message *orders, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (orders[i].operation == STORING_PUT_ENDPOINT)
			prepare_endpoint(fleet, &orders[i].endpoint);
}

/* Sending */

/* Somebody has replaced our record of the holder. */
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
	/* No host has: it was removed, or is no record. */
	log_warning(
		"endpoint %s: its holder's record in etcd was changed by no host, and is claimed "
		"again",
		ipv4_text(served->bind).s);
	served->state = SERVED_UNCLAIMED;
	return 0;
}

/* What this host has to say of an address that it has no more is sent too. */
static bool is_held(const struct served *served)
{
	return served->state == SERVED_CLAIMED || served->state == SERVED_RELEASED;
}

static void begin_as_holder(const struct served *served, struct kv_transaction *transaction)
{
	kv_begin(transaction);
	kv_compare_value(
		transaction, served->record.name.s, served->record.value, served->record.size);
}

/* Returns 1 if it was done, 0 if we are not the holder any more, or -errno. */
static int commit_as_holder(
	struct fleet *fleet, struct served *served, struct kv_transaction *transaction)
{
	bool done = false;
	int error = kv_commit(fleet->etcd, transaction, &done);

	if (error < 0)
		return error;
	return done ? 1 : find_new_holder(fleet, served);
}

static int send_peers(
	struct fleet *fleet, struct served *served, const struct outbox_entry *entries, size_t n)
{
	struct kv_transaction transaction;
	struct record record;
	int result = 0;

	begin_as_holder(served, &transaction);
	for (size_t i = 0; i < n && result == 0; i++) {
		result = record_of_peer(&fleet->maker, &entries[i].message, entries[i].place,
			served->holder.epoch, &record);
		put(&transaction, &record);
	}
	transaction.is_broken |= result < 0;
	result = commit_as_holder(fleet, served, &transaction);
	return result > 0 ? outbox_sent(fleet->outbox, entries, n) : result;
}

/* The endpoint and its number, sealed by us. */
static int put_endpoint(
	struct fleet *fleet, const struct served *served, struct kv_transaction *transaction)
{
	struct stored_endpoint endpoint = served->endpoint;
	struct record record, number;
	int error;

	endpoint.epoch = served->holder.epoch;
	error = record_of_endpoint(&fleet->maker, &endpoint, &record);
	if (error == 0)
		error = record_of_number(&fleet->maker, &endpoint, &number);
	explicit_bzero(&endpoint, sizeof endpoint);
	if (error < 0)
		return error;
	put(transaction, &record);
	put(transaction, &number);
	return 0;
}

static int send_endpoint(struct fleet *fleet, struct served *served)
{
	struct kv_transaction transaction;
	int result;

	begin_as_holder(served, &transaction);
	transaction.is_broken |= put_endpoint(fleet, served, &transaction) < 0;
	result = commit_as_holder(fleet, served, &transaction);
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
	struct record record;
	int result;

	holder.floor = holder.epoch;
	result = record_of_holder(&fleet->maker, served->bind, &holder, &record);
	if (result == 0)
		result = outbox_set_next_holder(
			fleet->outbox, served->bind, record.value, record.size);
	if (result < 0)
		return result;
	begin_as_holder(served, &transaction);
	put(&transaction, &record);
	transaction.is_broken |= put_endpoint(fleet, served, &transaction) < 0;
	result = commit_as_holder(fleet, served, &transaction);
	if (result <= 0)
		return result;
	served->is_changed = false;
	served->holder = holder;
	served->record = record;
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
		served->active_due_ms = now + ACTIVE_MS;
	if (result <= 0)
		return result;
	*more = true;
	result = record_of_active(
		&fleet->maker, served->bind, first, active_s, served->holder.epoch, &record);
	if (result < 0)
		return result;
	begin_as_holder(served, &transaction);
	put(&transaction, &record);
	result = commit_as_holder(fleet, served, &transaction);
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

/* Others seal their addresses anew at their own time. */
static int look_at_keys(struct fleet *fleet)
{
	const uint64_t now = clock_now_ms(&system_clock);
	int error;

	if (!sealer_has_second_key(fleet->maker.sealer) || now < fleet->look_due_ms)
		return 0;
	fleet->look_due_ms = now + KEYS_MS;
	error = fleet_read_view(fleet);
	if (error == 0)
		fleet_health_judge_keys(fleet);
	return error;
}

const struct stored_state *fleet_health(const struct fleet *fleet)
{
	return &fleet->state;
}

static int send_all(struct fleet *fleet, bool *is_stored, bool *more)
{
	int error = 0;

	for (size_t i = 0; i < fleet->n_served && error == 0; i++) {
		struct served *served = &fleet->served[i];

		if (!is_held(served))
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

int fleet_send(struct fleet *fleet, bool *is_stored, bool *more)
{
	const uint64_t now = clock_now_ms(&system_clock);
	int error = 0;

	*is_stored = true;
	*more = false;
	if (now < fleet->retry_ms || !fleet->outbox)
		return -EAGAIN;
	etcd_set_deadline(fleet->etcd, now + SEND_MS);
	if (is_unclaimed(fleet))
		error = claim_all(fleet, false);
	if (error == 0)
		error = send_all(fleet, is_stored, more);
	if (error == 0)
		error = fleet_watch(fleet);
	if (error == 0)
		error = look_at_keys(fleet);
	if (error == 0)
		error = fleet_follow(fleet);
	fleet_health_judge_clock(fleet);
	etcd_set_deadline(fleet->etcd, clock_now_ms(&system_clock) + SEND_MS);
	if (error == 0)
		error = fleet_compact(fleet);
	etcd_set_deadline(fleet->etcd, 0);
	if (error < 0)
		fleet->retry_ms = clock_now_ms(&system_clock) + RETRY_MS;
	if (error != -EPIPE)
		say_once(fleet, error);
	return error;
}
