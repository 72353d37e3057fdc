/* Follows what other hosts promise. Runs in the store's process. */
#include "store/fleet_follow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/database.h"
#include "store/fleet_epochs.h"
#include "store/fleet_merge.h"
#include "store/outbox.h"

enum {
	LOOK_MS = 2000, /* between two looks */
	/* In that time a holder looks whether what it has written is there, several times; and it
	 * claims anew what it lost. */
	PUT_BACK_MS = 15 * 1000,
	/* A look at very many peers takes etcd a while: no more than this share of the time. */
	SHARE = 20,
};

static bool is_inside(const struct fleet *fleet, struct ipv4 bind)
{
	for (size_t i = 0; i < fleet->n_blocks; i++)
		if (prefix_contains(fleet->blocks[i], bind))
			return true;
	return false;
}

/* One that this host holds, or has: then there is nothing to be ready for. */
static bool is_ours(struct fleet *fleet, struct ipv4 bind)
{
	const struct served *served = fleet_find_served(fleet, bind);

	return served && (served->state != SERVED_SUPERSEDED || served->is_wanted);
}

static struct followed_address *find(const struct fleet *fleet, struct ipv4 bind)
{
	for (size_t i = 0; i < fleet->n_followed; i++)
		if (ipv4_equal(fleet->followed[i].bind, bind))
			return &fleet->followed[i];
	return NULL;
}

void fleet_follow_anew(struct fleet *fleet, struct ipv4 bind)
{
	struct followed_address *followed = find(fleet, bind);

	if (followed)
		*followed = fleet->followed[--fleet->n_followed];
}

bool fleet_follow_is_put_back(const struct fleet *fleet, const struct seen_address *seen)
{
	const struct followed_address *followed = find(fleet, seen->bind);

	return followed && seen->holder.floor <= followed->put_back_epoch &&
	       followed->put_back_epoch > 0;
}

bool fleet_is_followed(const struct fleet *fleet, struct ipv4 bind)
{
	const struct followed_address *followed = find(fleet, bind);

	return followed && followed->revision > 0;
}

/* NULL: there is no room for another one. */
static struct followed_address *find_or_add(struct fleet *fleet, struct ipv4 bind)
{
	struct followed_address *followed = find(fleet, bind);

	if (followed || fleet->n_followed == FLEET_MOST_FOLLOWED)
		return followed;
	followed = &fleet->followed[fleet->n_followed++];
	*followed = (struct followed_address){.bind = bind};
	return followed;
}

/* Telling */

static int tell_about(const struct fleet *fleet, enum storing_operation operation, struct ipv4 bind)
{
	const struct storing_message message = {
		.version = STORING_VERSION, .operation = operation, .peer.bind = bind};

	return fleet->tell(&message);
}

static int tell_endpoint(const struct fleet *fleet, const struct stored_endpoint *endpoint)
{
	struct storing_message message = {
		.version = STORING_VERSION, .operation = STORING_ENDPOINT, .endpoint = *endpoint};
	int error = fleet->tell(&message);

	explicit_bzero(&message, sizeof message);
	return error;
}

/* An order of the broker's is a report to it. */
static int tell_changes(const struct fleet *fleet, const struct fleet_changes *changes)
{
	int error = 0;

	for (size_t i = 0; i < changes->n && error == 0; i++) {
		struct storing_message message = changes->orders[i];

		message.version = STORING_VERSION;
		message.operation =
			message.operation == STORING_PUT_PEER ? STORING_PEER : STORING_FREED;
		error = fleet->tell(&message);
	}
	return error;
}

struct telling {
	const struct fleet *fleet;
	struct ipv4 bind;
};

/* The others' endpoints are in the copy too. */
static int tell_row(void *context, const struct storing_message *message)
{
	const struct telling *telling = context;

	if (message->operation == STORING_ENDPOINT &&
		!ipv4_equal(message->endpoint.bind, telling->bind))
		return 0;
	return telling->fleet->tell(message);
}

int fleet_tell_all(const struct fleet *fleet, struct ipv4 bind)
{
	struct telling telling = {fleet, bind};
	size_t n_invalid;

	return database_load_one(fleet->database, bind, tell_row, &telling, &n_invalid);
}

static int tell(const struct fleet *fleet, const struct stored_endpoint *endpoint, bool is_all,
	const struct fleet_changes *changes)
{
	int error = tell_about(
		fleet, is_all ? STORING_FOLLOW_ALL : STORING_FOLLOW_CHANGES, endpoint->bind);

	if (error == 0 && is_all)
		error = fleet_tell_all(fleet, endpoint->bind);
	else if (error == 0)
		error = tell_endpoint(fleet, endpoint);
	if (error == 0 && !is_all)
		error = tell_changes(fleet, changes);
	return error < 0 ? error : tell_about(fleet, STORING_FOLLOWED, endpoint->bind);
}

/* Following */

/* A holder of which nothing was lost claims nothing anew. It lives where it writes its endpoint's
 * record, as it does twice a minute; one that is dead has promised more than etcd has. */
static bool has_lost_nothing(struct followed_address *followed, const struct seen_address *seen)
{
	const uint64_t now = clock_now_ms(&system_clock);

	if (followed->put_back_revision == 0) {
		followed->put_back_revision = seen->endpoint_revision;
		followed->put_back_ms = now;
	}
	return now - followed->put_back_ms >= PUT_BACK_MS &&
	       seen->endpoint_revision != followed->put_back_revision;
}

static bool waits_for_holder(const struct fleet *fleet, struct followed_address *followed,
	const struct seen_address *seen)
{
	if (!fleet_follow_is_put_back(fleet, seen))
		return false;
	if (!has_lost_nothing(followed, seen))
		return true;
	*followed = (struct followed_address){.bind = seen->bind};
	return false;
}

/* Whose floor has been raised has sealed all anew: what was read before may not hold. */
static int follow_one(struct fleet *fleet, const struct seen_address *seen)
{
	struct followed_address *followed = find_or_add(fleet, seen->bind);
	struct fleet_changes changes = {0};
	bool is_all;
	int error;

	if (!followed || waits_for_holder(fleet, followed, seen))
		return 0;
	if (followed->floor != seen->holder.floor)
		*followed =
			(struct followed_address){.bind = seen->bind, .floor = seen->holder.floor};
	is_all = followed->revision == 0;
	error = fleet_copy_endpoint(fleet, &seen->endpoint);
	if (error == 0)
		error = fleet_merge_followed(fleet, followed, false, &changes);
	if (error == 0 && (is_all || changes.n > 0 || changes.are_active))
		error = tell(fleet, &seen->endpoint, is_all || changes.are_active, &changes);
	if (error == 0)
		error = fleet_epochs_see(fleet->outbox, seen->bind, &seen->holder);
	free(changes.orders);
	if (error < 0)
		fleet_follow_anew(fleet, seen->bind);
	return error;
}

static int follow_all(struct fleet *fleet)
{
	int error = fleet_look(fleet);

	for (size_t i = 0; i < fleet->view.n && error == 0; i++) {
		const struct seen_address *seen = &fleet->view.addresses[i];

		if (seen->has_endpoint && seen->holder.epoch > 0 && !seen->is_put_back &&
			is_inside(fleet, seen->bind) && !is_ours(fleet, seen->bind))
			error = follow_one(fleet, seen);
	}
	return error;
}

int fleet_follow(struct fleet *fleet)
{
	const uint64_t began_ms = clock_now_ms(&system_clock);
	uint64_t took_ms, wait_ms;
	int error;

	if (fleet->n_blocks == 0 || began_ms < fleet->follow_due_ms)
		return 0;
	error = follow_all(fleet);
	took_ms = clock_now_ms(&system_clock) - began_ms;
	wait_ms = took_ms * SHARE > LOOK_MS ? took_ms * SHARE : LOOK_MS;
	fleet->follow_due_ms = clock_now_ms(&system_clock) + wait_ms;
	return error;
}

int fleet_follow_rest(struct fleet *fleet, const struct served *served)
{
	struct followed_address *followed = find(fleet, served->bind);
	struct fleet_changes changes = {0};
	int error;

	if (!followed || followed->revision == 0 || followed->floor != served->holder.floor)
		return 0;
	error = fleet_merge_followed(fleet, followed, true, &changes);
	if (error == 0)
		error = tell(fleet, &served->endpoint, false, &changes);
	free(changes.orders);
	return error < 0 ? error : 1;
}
