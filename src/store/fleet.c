/* Claims addresses, and sends what has changed to etcd. Runs in the store's process. */
#include "store/fleet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/database.h"
#include "store/etcd.h"
#include "store/etcd_kv.h"
#include "store/fleet_aside.h"
#include "store/fleet_epochs.h"
#include "store/fleet_follow.h"
#include "store/fleet_health.h"
#include "store/fleet_history.h"
#include "store/fleet_late.h"
#include "store/fleet_merge.h"
#include "store/fleet_outgoing.h"
#include "store/fleet_put_back.h"
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
};

/* What is said */

/* What its fleet knows it by, with the same key, holds from the next start on; else somebody has to
 * say what is given up. */
static bool is_to_be_given_up(const struct storing_message *collision)
{
	return !ipv4_equal(collision->endpoint.bind, collision->peer.bind) ||
	       collision->host[0] != '\0';
}

/* host: which has another key there; NULL: its numbers are in the way. */
static int tell_collision(struct fleet *fleet, const struct stored_endpoint *endpoint,
	struct ipv4 whose, const char *host)
{
	struct storing_message message = {
		.version = STORING_VERSION,
		.operation = STORING_COLLIDES,
		.endpoint = *endpoint,
		.peer.bind = whose,
	};
	int error;

	if (host)
		snprintf(message.host, sizeof message.host, "%s", *host ? host : "unknown");
	explicit_bzero(&message.endpoint.private_key, sizeof message.endpoint.private_key);
	if (is_to_be_given_up(&message))
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

/* This host has served the address by itself, and by the same numbers; its clients would lose what
 * they were promised without a word of it. */
static bool has_other_clients(struct fleet *fleet, const struct stored_endpoint *local,
	const struct stored_endpoint *seen)
{
	return has_same_numbers(local, seen) &&
	       !key_equal(&local->private_key, &seen->private_key) &&
	       outbox_has_own_peers(fleet->outbox, local->bind);
}

/* Of two hosts that are new and start at the same moment both may take the lowest number; as when
 * etcd is away. Who has no clients there is to have another one without anybody's help; who has
 * some, as where etcd has lost what the fleet knew, keeps what it has promised them. */
static void give_number_up(struct fleet *fleet, struct ipv4 bind)
{
	if (outbox_has_peers(fleet->outbox, bind) || outbox_abandon(fleet->outbox, bind) < 0)
		return;
	log_warning("endpoint %s: nobody was promised an address there: when its server is started "
		    "again it has a number that is free",
		ipv4_text(bind).s);
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
		has_other_clients(fleet, &local, &seen->endpoint)) {
		served->state = SERVED_COLLIDES;
		return tell_collision(fleet, &local, served->bind, seen->holder.host);
	}
	/* What this host has used of it while etcd was away. */
	if (has_local && key_equal(&local.private_key, &served->endpoint.private_key))
		served->endpoint.floor_s = later(served->endpoint.floor_s, local.floor_s);
	/* The broker has taken it into use. */
	if (is_known && !is_joining && has_local && !has_same_numbers(&local, &seen->endpoint)) {
		served->state = SERVED_COLLIDES;
		return tell_collision(fleet, &local, served->bind, NULL);
	}
	other = is_known ? NULL : fleet_view_collision(&fleet->view, &local);
	if (!other)
		return 1;
	served->state = SERVED_COLLIDES;
	error = tell_collision(fleet, &local, other->bind, NULL);
	if (!is_joining)
		give_number_up(fleet, served->bind);
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

static int claim(struct fleet *fleet, struct served *served, bool is_joining)
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

static bool is_unclaimed(const struct fleet *fleet)
{
	const uint64_t now = clock_now_ms(&system_clock);

	for (size_t i = 0; i < fleet->n_served; i++)
		if (fleet_aside_is_due(&fleet->served[i], now))
			return true;
	return false;
}

/* Returns as claim(). */
static int claim_late(struct fleet *fleet, struct served *served)
{
	bool may_claim;
	int error = fleet_late_ask(fleet, served, &may_claim);

	if (error == 0 && may_claim)
		error = claim(fleet, served, false);
	if (error < 0 || served->state != SERVED_CLAIMED)
		return error;
	/* Where etcd has nothing that is not in the copy it was all told. */
	if (!served->is_put_back)
		error = fleet_late_tell(fleet, served);
	served->is_put_back = false;
	return error;
}

/* What became of claims. */
struct claim_results {
	bool collides; /* one of them at least */
	int put_aside; /* why one was; 0: none */
};

/* What is wrong with one keeps no other from being claimed. Returns an error that would. */
static int claim_one(
	struct fleet *fleet, struct served *served, bool is_joining, struct claim_results *results)
{
	int error = is_joining ? claim(fleet, served, true) : claim_late(fleet, served);

	if (fleet_aside_is_of_one(error)) {
		fleet_aside_put(fleet, served, error);
		/* It succeeds when it is tried again. */
		if (results->put_aside != -EAGAIN)
			results->put_aside = error;
		return 0;
	}
	results->collides |= error == -EEXIST;
	return error == -EEXIST ? 0 : error;
}

/* Who is starting tries all of them; and who holds none can write nothing. */
static int judge(const struct fleet *fleet, const struct claim_results *results, bool is_joining)
{
	if (is_joining && results->put_aside == -EAGAIN)
		return -EAGAIN;
	if (is_joining && results->collides)
		return -EEXIST;
	return fleet_aside_holds_any(fleet) ? 0 : results->put_aside;
}

static int claim_all(struct fleet *fleet, bool is_joining)
{
	const uint64_t now = is_joining ? UINT64_MAX : clock_now_ms(&system_clock);
	struct claim_results results = {0};
	int error = fleet_read_view(fleet);

	/* It is there: what it has is worth more time than a copy that may be older. */
	if (error == 0 && is_joining)
		etcd_set_deadline(fleet->etcd, clock_now_ms(&system_clock) + READ_MS);

	for (size_t i = 0; i < fleet->n_served && error == 0; i++)
		if (fleet_aside_is_due(&fleet->served[i], now))
			error = claim_one(fleet, &fleet->served[i], is_joining, &results);
	return error < 0 ? error : judge(fleet, &results, is_joining);
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

	fleet->is_starting = true;
	etcd_set_deadline(fleet->etcd, clock_now_ms(&system_clock) + JOIN_MS);
	for (int i = 0; i < MOST_TRIES && error == -EAGAIN; i++)
		error = claim_all(fleet, true);
	etcd_set_deadline(fleet->etcd, 0);
	fleet->is_starting = false;
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
static int claim_without(struct fleet *fleet, struct served *served, int error)
{
	if (error == -EPIPE)
		return error;
	if (fleet_aside_is_of_one(error)) {
		fleet_aside_put(fleet, served, error);
		error = fleet_aside_holds_any(fleet) ? 0 : error;
	}
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
	return claim_without(fleet, served, error);
}

int fleet_claim_if_left(struct fleet *fleet, struct ipv4 bind, bool *is_ours)
{
	struct served *served = find_or_add_served(fleet, bind);
	const struct seen_address *seen;
	enum holder_answer answer = HOLDER_HAS_LEFT;
	int error;

	*is_ours = true;
	/* It was claimed, or is to be, by a store that was started again. */
	if (!served || served->state == SERVED_CLAIMED)
		return 0;
	etcd_set_deadline(fleet->etcd, clock_now_ms(&system_clock) + CLAIM_MS);
	error = fleet_read_view(fleet);
	seen = fleet_view_find(&fleet->view, bind);
	if (error == 0 && seen && seen->holder.epoch > 0)
		error = fleet_ask_holder(fleet, served, &answer);
	etcd_set_deadline(fleet->etcd, 0);
	if (error == 0 && answer == HOLDER_HAS_LEFT)
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
		tell_collision(fleet, endpoint, endpoint->bind, NULL);
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

/* What is to be done again and again */

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

int fleet_send(struct fleet *fleet, uint64_t written, bool *is_stored, bool *more)
{
	const uint64_t now = clock_now_ms(&system_clock);
	int claimed = 0, error;

	*is_stored = true;
	*more = false;
	if (now < fleet->retry_ms || !fleet->outbox)
		return -EAGAIN;
	fleet->written = written;
	etcd_set_deadline(fleet->etcd, now + SEND_MS);
	if (is_unclaimed(fleet))
		claimed = claim_all(fleet, false);
	if (fleet_late_is_asking(fleet) || fleet_aside_is_behind(fleet))
		*is_stored = false;
	/* Who can claim none of its own follows those of others all the same. */
	error = fleet_aside_is_of_one(claimed) ? 0 : claimed;
	if (error == 0)
		error = fleet_send_changes(fleet, is_stored, more);
	if (error == 0)
		error = fleet_watch(fleet);
	if (error == 0)
		error = look_at_keys(fleet);
	if (error == 0)
		error = fleet_follow(fleet);
	if (error == 0)
		error = claimed;
	fleet_health_judge_clock(fleet);
	fleet_put_back_judge(fleet);
	etcd_set_deadline(fleet->etcd, clock_now_ms(&system_clock) + SEND_MS);
	if (error == 0)
		error = fleet_compact(fleet);
	etcd_set_deadline(fleet->etcd, 0);
	if (error < 0) {
		fleet->retry_ms = clock_now_ms(&system_clock) + RETRY_MS;
		/* When it is back the first thing to know is what others have claimed. */
		fleet->watch_due_ms = 0;
	}
	if (error != -EPIPE)
		say_once(fleet, error);
	return error;
}
