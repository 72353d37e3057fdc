/* Reads the peers of an address from etcd, page by page. Runs in the store's process. */
#include "store/fleet_merge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/log.h"
#include "store/database.h"
#include "store/etcd_kv.h"
#include "store/outbox.h"

struct freed_address {
	struct ipv4 inner;
	uint64_t place;
};

/* All is read before anything is written: where that fails the copy is as it was. */
struct merge {
	struct fleet *fleet;
	struct ipv4 bind;
	uint64_t floor; /* records of before are ignored */
	bool keep;
	bool is_own; /* nobody else has promised anything there since this host did */
	bool is_all; /* else only what has changed */
	bool are_active; /* when peers were active has changed */
	struct storing_message *orders;
	size_t n;
	struct freed_address *freed;
	size_t n_freed;
	size_t n_ignored;
	struct record_name ignored; /* the first of them */
	const char *why;
};

static int add_order(struct merge *merge, const struct storing_message *message, uint32_t operation)
{
	struct storing_message *orders = array_grow(merge->orders, merge->n, sizeof *orders);

	if (!orders)
		return -ENOMEM;
	merge->orders = orders;
	orders[merge->n] = *message;
	orders[merge->n++].operation = operation;
	return 0;
}

static int add_freed(struct merge *merge, struct ipv4 inner, uint64_t place)
{
	struct freed_address *freed = array_grow(merge->freed, merge->n_freed, sizeof *freed);

	if (!freed)
		return -ENOMEM;
	merge->freed = freed;
	freed[merge->n_freed++] = (struct freed_address){inner, place};
	return 0;
}

static void ignore(struct merge *merge, const char *name, const char *why)
{
	if (merge->n_ignored++ > 0)
		return;
	strncpy(merge->ignored.s, name, sizeof merge->ignored.s - 1);
	merge->why = why;
}

static const char *why_not(int error)
{
	return error == -ENOKEY ? "it is sealed under another key"
				: "it does not open under the fleet's key";
}

static int keep_peer(void *context, const struct kv *kv)
{
	struct merge *merge = context;
	struct storing_message message;
	uint64_t place, epoch;
	bool is_freed;
	int error = record_open_peer(&merge->fleet->maker, merge->bind, kv->key, kv->value,
		kv->size, &message, &place, &epoch);

	if (error < 0) {
		ignore(merge, kv->key, why_not(error));
		return 0;
	}
	if (epoch < merge->floor) {
		ignore(merge, kv->key, "it is older than what holds of this address");
		return 0;
	}
	if (merge->keep && outbox_has(merge->fleet->outbox, merge->bind, message.peer.inner))
		return 0;
	is_freed = merge->keep &&
		   outbox_is_freed(merge->fleet->outbox, merge->bind, message.peer.inner);
	if (message.operation == STORING_PEER)
		return is_freed && merge->is_own ? 0 : add_order(merge, &message, STORING_PUT_PEER);
	return is_freed ? 0 : add_freed(merge, message.peer.inner, place);
}

static int keep_active(void *context, const struct kv *kv)
{
	struct merge *merge = context;
	uint32_t active_s[RECORD_GROUP];
	uint64_t epoch;
	int error = record_open_active(
		&merge->fleet->maker, kv->key, kv->value, kv->size, active_s, &epoch);

	if (error < 0) {
		ignore(merge, kv->key, why_not(error));
		return 0;
	}
	merge->are_active = true;
	return outbox_set_active(
		merge->fleet->outbox, merge->bind, record_address(kv->key), active_s);
}

static int compare_places(const void *a, const void *b)
{
	const struct freed_address *first = a, *second = b;

	return (first->place > second->place) - (first->place < second->place);
}

/* In the order in which they were freed. */
static int add_all_freed(struct merge *merge)
{
	int error = 0;

	if (merge->n_freed > 0)
		qsort(merge->freed, merge->n_freed, sizeof *merge->freed, compare_places);
	for (size_t i = 0; i < merge->n_freed && error == 0; i++)
		error = add_order(merge,
			&(struct storing_message){
				.peer = {.bind = merge->bind, .inner = merge->freed[i].inner}},
			STORING_FREE_ADDRESS);
	return error;
}

static void pass_over(void *context, const struct storing_message *order)
{
	(void)context;
	log_error("endpoint %s: the copy does not take what etcd has of %s",
		ipv4_text(order->peer.bind).s, ipv4_text(order->peer.inner).s);
}

static int write_all(struct merge *merge)
{
	const struct fleet *fleet = merge->fleet;
	int error = add_all_freed(merge);

	if (error == 0 && merge->is_all && !merge->keep)
		error = outbox_empty(fleet->outbox, merge->bind);
	if (error == 0 && merge->n > 0)
		error = database_write(fleet->database, merge->orders, merge->n, pass_over, NULL);
	return error;
}

static int read_since(struct merge *merge, enum record_kind kind, uint64_t *revision, kv_fn *keep)
{
	const struct fleet *fleet = merge->fleet;

	return kv_read_since(fleet->etcd, record_prefix(fleet->name, kind, merge->bind).s, revision,
		keep, merge);
}

/* is_quick: without when peers were active. The revisions are moved on. */
static int merge_since(
	struct merge *merge, uint64_t *revision, uint64_t *active_revision, bool is_quick)
{
	int error = read_since(merge, RECORD_PEER, revision, keep_peer);

	if (error == 0)
		error = write_all(merge);
	if (error == 0 && !is_quick)
		error = read_since(merge, RECORD_ACTIVE, active_revision, keep_active);
	if (merge->n_ignored > 0)
		log_warning("endpoint %s: %zu records in etcd are ignored, the first is %s: %s",
			ipv4_text(merge->bind).s, merge->n_ignored, merge->ignored.s, merge->why);
	free(merge->freed);
	return error;
}

int fleet_merge(struct fleet *fleet, const struct served *served, bool keep)
{
	struct merge merge = {.fleet = fleet,
		.bind = served->bind,
		.floor = served->holder.floor,
		.keep = keep,
		.is_own = served->is_own,
		.is_all = true};
	uint64_t revision = 0, active_revision = 0;
	int error = merge_since(&merge, &revision, &active_revision, false);

	free(merge.orders);
	return error;
}

int fleet_merge_followed(struct fleet *fleet, struct followed_address *followed, bool is_quick,
	struct fleet_changes *changes)
{
	struct merge merge = {.fleet = fleet,
		.bind = followed->bind,
		.floor = followed->floor,
		.is_all = followed->revision == 0};
	int error = merge_since(&merge, &followed->revision, &followed->active_revision, is_quick);

	if (error == 0)
		error = outbox_forget(fleet->outbox, followed->bind);
	*changes = (struct fleet_changes){merge.orders, merge.n, merge.are_active};
	return error;
}
