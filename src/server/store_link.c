/*
 * Speaks with the store's process. Runs in the broker: in its event loop, but for the reading at
 * the start and the farewell at the end.
 */
#include "server/store_link.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/log.h"
#include "ipc/packet.h"
#include "server/child.h"
#include "server/store_orders.h"

_Static_assert((int)STORE_FD_BROKER == (int)CHILD_FD_BROKER, "where a store looks for its socket");

enum {
	FAREWELL_MS = 5000, /* for what is on its way to the disk */
	SEND_AGAIN_MS = 100, /* after an error that is not that the socket is full */
	START_AGAIN_MS = 200, /* between two starts, while all wait for what is stored */
};

struct store_link {
	struct store_link_config config;
	struct event_base *base;
	struct child_group *group;
	struct event *writable, *send_again;
	bool is_loaded; /* what is stored has come, once */
	bool collides; /* an endpoint has what is another's */

	struct store_orders orders; /* not confirmed */
	uint64_t told_up_to; /* what is told now has no order that came later */
	struct stored_state state;

	store_record_fn *record; /* while loading */
	void *record_context;
};

/* Orders */

void store_link_forget(struct store_link *link)
{
	store_orders_clear(&link->orders);
}

/* That it has hung up its reading tells. */
static void send_later(struct store_link *link, int error)
{
	const struct timeval delay = timeval_from_ms(SEND_AGAIN_MS);

	if (error == -EAGAIN && link->writable)
		event_add(link->writable, NULL);
	else if (!packet_is_hung_up(error))
		event_add(link->send_again, &delay);
}

static bool more_come(const struct store_link *link)
{
	return link->config.more_come &&
	       link->config.more_come(link->config.context, store_orders_count(&link->orders));
}

static void send_orders(struct store_link *link)
{
	struct child *child = child_group_get(link->group, 0);
	struct storing_message *message;

	while (child->fd >= 0 && child->is_ready && (message = store_orders_next(&link->orders))) {
		int error;

		message->more_come = more_come(link);
		error = storing_send(child->fd, message);

		if (error < 0) {
			send_later(link, error);
			return;
		}
		store_orders_sent(&link->orders);
	}
}

uint64_t store_link_order(struct store_link *link, const struct storing_message *message)
{
	uint64_t sequence;

	if (child_group_is_retired(link->group))
		return 0;
	sequence = store_orders_add(&link->orders, message);
	if (sequence > 0)
		send_orders(link);
	return sequence;
}

static uint32_t find_served(const struct store_config *store, struct ipv4 bind)
{
	uint32_t i = 0;

	while (i < store->n_served && !ipv4_equal(store->served[i], bind))
		i++;
	return i;
}

static void remove_served(struct store_config *store, struct ipv4 bind)
{
	uint32_t i = find_served(store, bind);

	if (i < store->n_served)
		store->served[i] = store->served[--store->n_served];
}

static int order_about(struct store_link *link, enum storing_operation operation, struct ipv4 bind)
{
	const struct storing_message order = {.operation = operation, .peer = {.bind = bind}};

	return store_link_order(link, &order) > 0 ? 0 : -ENOTCONN;
}

int store_link_claim(struct store_link *link, struct ipv4 bind)
{
	return order_about(link, STORING_CLAIM, bind);
}

int store_link_claim_rest(struct store_link *link, struct ipv4 bind)
{
	return order_about(link, STORING_CLAIM_REST, bind);
}

int store_link_claim_if_left(struct store_link *link, struct ipv4 bind)
{
	return order_about(link, STORING_CLAIM_IF_LEFT, bind);
}

void store_link_hold(struct store_link *link, struct ipv4 bind)
{
	struct store_config *store = &link->config.store;
	uint32_t i = find_served(store, bind);

	if (i == store->n_served && i < STORE_MOST_SERVED)
		store->served[store->n_served++] = bind;
}

void store_link_release(struct store_link *link, struct ipv4 bind)
{
	remove_served(&link->config.store, bind);
	order_about(link, STORING_RELEASE, bind);
}

uint64_t store_link_newest(const struct store_link *link)
{
	return store_orders_newest(&link->orders);
}

size_t store_link_behind(const struct store_link *link)
{
	return store_orders_count(&link->orders);
}

uint64_t store_link_lag_ms(const struct store_link *link)
{
	return store_orders_lag_ms(&link->orders);
}

/* What it says */

static void on_durable(struct store_link *link, uint64_t sequence)
{
	store_orders_confirm(&link->orders, sequence);
	link->config.on_durable(link->config.context, sequence);
}

static void on_loaded(struct store_link *link, struct child *child)
{
	bool late = !link->is_loaded && !link->record;

	child->is_ready = true;
	link->is_loaded = true;
	/* What this server has promised since is on its way; the rest stays for the next one. */
	if (late)
		log_warning("what is stored came too late: who was promised an address and is not "
			    "there gets it when the server is started again");
	send_orders(link);
}

/* What was ordered after what is told was written is newer. */
static bool is_outdated(const struct store_link *link, const struct storing_message *message)
{
	return message->operation != STORING_ENDPOINT && link->told_up_to != UINT64_MAX &&
	       store_orders_has_later(&link->orders, message, link->told_up_to);
}

static void handle(
	struct store_link *link, struct child *child, const struct storing_message *message)
{
	switch ((enum storing_operation)message->operation) {
	case STORING_ENDPOINT:
	case STORING_PEER:
	case STORING_FREED:
		if (is_outdated(link, message))
			break;
		/* From one that was started again it is what we know, until it has told all. */
		if (link->record)
			link->record(link->record_context, message);
		else if (child->is_ready)
			link->config.on_record(link->config.context, message);
		break;
	case STORING_CLAIMED_LATE:
		link->told_up_to = message->sequence;
		link->config.on_following(link->config.context, message->peer.bind, true);
		break;
	case STORING_CLAIMED:
		link->told_up_to = UINT64_MAX;
		link->config.on_claimed(link->config.context, message->peer.bind);
		break;
	case STORING_FOLLOW_ALL:
	case STORING_FOLLOW_CHANGES:
		link->config.on_following(link->config.context, message->peer.bind,
			message->operation == STORING_FOLLOW_ALL);
		break;
	case STORING_FOLLOWED:
		link->config.on_followed(link->config.context, message->peer.bind);
		break;
	case STORING_LOADED:
		on_loaded(link, child);
		break;
	case STORING_DURABLE:
		on_durable(link, message->sequence);
		break;
	case STORING_LOST:
		link->config.on_lost(link->config.context);
		break;
	case STORING_SUPERSEDED:
		/* A store that is started again is not to claim it back. */
		remove_served(&link->config.store, message->endpoint.bind);
		link->config.on_superseded(
			link->config.context, message->endpoint.bind, message->host);
		break;
	case STORING_COLLIDES:
		link->collides = true;
		link->config.on_collides(link->config.context, &message->endpoint,
			message->peer.bind, message->host);
		break;
	case STORING_STATE:
		link->state = message->state;
		break;
	default:
		break;
	}
}

/* As after an upgrade, while the server before it runs. Another one would say the same. */
static void give_up(struct store_link *link, struct child *child)
{
	log_error("%s, process %d, is of another version than this server, which has to be "
		  "started again: until then nothing is stored, and tunnels are forgotten if this "
		  "host fails",
		child->name, (int)child->pid);
	child_group_retire(link->group);
	child_hang_up(child);
	store_link_forget(link);
}

/* Returns 0, or -errno when there is nothing more to be read for now. */
static int read_message(struct store_link *link, struct child *child)
{
	struct storing_message message;
	int error = storing_receive_report(child->fd, &message);

	if (error == 0)
		handle(link, child, &message);
	else if (error == -EPROTONOSUPPORT)
		give_up(link, child);
	else
		child_read_failed(child, "cannot read what it says", error);
	explicit_bzero(&message, sizeof message);
	return error;
}

static void on_store_readable(void *context, struct child *child)
{
	read_message(context, child);
}

/* One that has ended amid it begins anew. Returns 0, or -errno when there is nothing to wait for.
 */
static int load_more(struct store_link *link, struct child *child, unsigned int timeout_ms)
{
	struct pollfd readable = {.fd = child->fd, .events = POLLIN};
	int error;

	if (child->fd >= 0) {
		if (poll(&readable, 1, (int)timeout_ms) > 0)
			read_message(link, child);
		return 0;
	}
	poll(NULL, 0, START_AGAIN_MS);
	error = child_start_again(child, timeout_ms);
	if (error == 0)
		link->record(link->record_context, NULL);
	return error;
}

int store_link_load(
	struct store_link *link, unsigned int timeout_ms, store_record_fn *record, void *context)
{
	struct child *child = child_group_get(link->group, 0);
	const uint64_t deadline_ms = clock_now_ms(&system_clock) + timeout_ms;
	uint64_t now;
	int error = 0;

	link->record = record;
	link->record_context = context;
	while (error == 0 && !link->is_loaded && !link->collides &&
		(now = clock_now_ms(&system_clock)) < deadline_ms)
		error = load_more(link, child, (unsigned int)(deadline_ms - now));
	link->record = NULL;
	if (link->collides)
		return -EEXIST;
	if (link->is_loaded)
		return 0;
	return error < 0 ? error : -ETIMEDOUT;
}

/* The process */

static void on_may_send(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	send_orders(context);
}

static int start_store(void *context, struct child *child)
{
	struct store_link *link = context;
	int error = child_spawn(child, NULL, 0);

	if (error < 0)
		return error;
	free_event(link->writable);
	link->writable = event_new(link->base, child->fd, EV_WRITE, on_may_send, link);
	error = storing_send_config(child->fd, &link->config.store);
	if (error < 0)
		child_expel(child, "cannot send it its configuration", error);
	link->told_up_to = UINT64_MAX;
	/* What the one before was told and did not confirm may be on the disk or not. */
	store_orders_send_again(&link->orders);
	return 0;
}

static void on_store_ended(void *context, struct child *child)
{
	struct store_link *link = context;

	(void)child;
	free_event(link->writable);
	link->writable = NULL;
}

int store_link_new(
	struct event_base *base, const struct store_link_config *config, struct store_link **result)
{
	struct store_link *link = calloc(1, sizeof *link);
	const struct child_group_config group = {
		.command = "store",
		.program = config->program,
		.n = 1,
		.start = start_store,
		.readable = on_store_readable,
		.ended = on_store_ended,
		.context = link,
	};
	int error = link ? store_orders_init(&link->orders) : -ENOMEM;

	if (error == 0) {
		link->config = *config;
		link->base = base;
		link->told_up_to = UINT64_MAX;
		link->send_again = evtimer_new(base, on_may_send, link);
		error = link->send_again ? child_group_new(base, &group, &link->group) : -ENOMEM;
		if (error < 0)
			store_orders_free(&link->orders);
	}
	if (error < 0) {
		log_error("cannot start the store: %s", strerror(-error));
		if (link)
			free_event(link->send_again);
		free(link);
		return error;
	}
	*result = link;
	return 0;
}

const struct child *store_link_process(const struct store_link *link)
{
	return child_group_get(link->group, 0);
}

const struct stored_state *store_link_state(const struct store_link *link)
{
	return &link->state;
}

/* What does not fit into the socket goes as it reads. */
static void send_the_rest(struct store_link *link, uint64_t deadline_ms)
{
	struct child *child = child_group_get(link->group, 0);
	uint64_t now;

	while (store_orders_count(&link->orders) > 0 && child->fd >= 0 &&
		(now = clock_now_ms(&system_clock)) < deadline_ms) {
		struct pollfd ready = {.fd = child->fd,
			.events = (short)(store_orders_next(&link->orders) ? POLLIN | POLLOUT
									   : POLLIN)};

		send_orders(link);
		if (poll(&ready, 1, (int)(deadline_ms - now)) > 0 && ready.revents & ~POLLOUT)
			read_message(link, child);
	}
}

void store_link_free(struct store_link *link)
{
	if (!link)
		return;
	send_the_rest(link, clock_now_ms(&system_clock) + FAREWELL_MS);
	if (store_orders_count(&link->orders) > 0)
		log_error("%zu changes could not be stored", store_orders_count(&link->orders));
	free_event(link->writable);
	free_event(link->send_again);
	child_group_free(link->group);
	store_orders_free(&link->orders);
	free(link);
}
