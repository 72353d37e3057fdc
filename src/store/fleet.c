/* Claims addresses, and sends what has changed to etcd. Runs in the store's process. */
#include "store/fleet.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/etcd.h"
#include "store/fleet_aside.h"
#include "store/fleet_claim_try.h"
#include "store/fleet_collision.h"
#include "store/fleet_follow.h"
#include "store/fleet_health.h"
#include "store/fleet_history.h"
#include "store/fleet_late.h"
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

static bool is_unclaimed(const struct fleet *fleet)
{
	const uint64_t now = clock_now_ms(&system_clock);

	for (size_t i = 0; i < fleet->n_served; i++)
		if (fleet_aside_is_due(&fleet->served[i], now))
			return true;
	return false;
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
	int error = is_joining ? fleet_claim_try(fleet, served, true)
			       : fleet_claim_try_late(fleet, served);

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
			error = fleet_claim_try(fleet, served, true);
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
	if (!fleet_has_same_numbers(endpoint, &served->endpoint)) {
		served->state = SERVED_COLLIDES;
		fleet_tell_collision(fleet, endpoint, endpoint->bind, NULL);
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
