/*
 * The orders to the store that it has not confirmed, the oldest first, and by what they are about.
 * Runs in the broker.
 */
#include "server/store_orders.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

struct store_order {
	struct storing_message message;
	TAILQ_ENTRY(store_order) entry;
	struct hash_node node; /* in `latest` while is_latest */
	bool is_latest; /* of its subject, and free to give way to a later one */
	bool is_sent;
	uint64_t ordered_ms; /* the first about its subject that is not confirmed */
};

/* What an order is about: a later one takes the place of an earlier one. */
struct subject {
	struct ipv4 bind, inner; /* inner 0.0.0.0: the endpoint itself */
};

static struct subject subject_of(const struct storing_message *message)
{
	if (message->operation == STORING_PUT_ENDPOINT)
		return (struct subject){message->endpoint.bind, {0}};
	return (struct subject){message->peer.bind, message->peer.inner};
}

static bool is_about(const struct hash_node *node, const void *key)
{
	const struct subject subject =
		subject_of(&hash_entry(node, struct store_order, node)->message);

	return memcmp(&subject, key, sizeof subject) == 0;
}

static void fix_in_place(struct store_orders *orders, struct store_order *order)
{
	if (order->is_latest)
		hash_remove(&orders->latest, &order->node);
	order->is_latest = false;
}

static void take_out(struct store_orders *orders, struct store_order *order)
{
	fix_in_place(orders, order);
	if (orders->next == order)
		orders->next = TAILQ_NEXT(order, entry);
	TAILQ_REMOVE(&orders->list, order, entry);
	orders->n--;
	explicit_bzero(order, sizeof *order);
	free(order);
}

void store_orders_clear(struct store_orders *orders)
{
	struct store_order *order;

	while ((order = TAILQ_FIRST(&orders->list)))
		take_out(orders, order);
}

/* What is about a whole endpoint's peers must stay between what came before and after it. */
static void keep_apart(struct store_orders *orders)
{
	struct store_order *order;

	TAILQ_FOREACH (order, &orders->list, entry)
		fix_in_place(orders, order);
}

static bool is_about_all(const struct storing_message *message)
{
	return message->operation == STORING_FREE_ALL || message->operation == STORING_FORGET ||
	       message->operation == STORING_CLAIM || message->operation == STORING_CLAIM_REST ||
	       message->operation == STORING_CLAIM_IF_LEFT || message->operation == STORING_RELEASE;
}

static struct store_order *find_latest(
	const struct store_orders *orders, const struct subject *subject)
{
	struct hash_node *node = hash_find(&orders->latest, subject, sizeof *subject, is_about);

	return node ? hash_entry(node, struct store_order, node) : NULL;
}

static void fill(
	struct store_order *order, const struct storing_message *message, uint64_t sequence)
{
	order->message = *message;
	order->message.version = STORING_VERSION;
	order->message.sequence = sequence;
}

static struct store_order *add_order(struct store_orders *orders, const struct subject *subject,
	const struct storing_message *message)
{
	struct store_order *order = calloc(1, sizeof *order);

	if (!order) {
		log_error("what was promised about %s is not stored: no memory",
			ipv4_text(subject->inner.value ? subject->inner : subject->bind).s);
		return NULL;
	}
	fill(order, message, ++orders->last_sequence);
	order->ordered_ms = clock_now_ms(&system_clock);
	TAILQ_INSERT_TAIL(&orders->list, order, entry);
	if (!orders->next)
		orders->next = order;
	orders->n++;
	if (!is_about_all(message)) {
		order->is_latest = true;
		hash_insert(&orders->latest, &order->node, subject, sizeof *subject);
	}
	return order;
}

/* An etcd that is away for days must not cost an order for each sign of life of each peer: what was
 * sent and not confirmed is sent again only to another store, for which the later one is enough. */
static struct store_order *replace(struct store_orders *orders, struct store_order *before,
	const struct subject *subject, const struct storing_message *message)
{
	struct store_order *order;

	fix_in_place(orders, before);
	order = add_order(orders, subject, message);
	if (order) {
		order->ordered_ms = before->ordered_ms;
		take_out(orders, before);
	}
	return order;
}

uint64_t store_orders_add(struct store_orders *orders, const struct storing_message *message)
{
	const struct subject subject = subject_of(message);
	struct store_order *order;

	if (is_about_all(message))
		keep_apart(orders);
	order = find_latest(orders, &subject);
	if (!order)
		order = add_order(orders, &subject, message);
	else if (order->is_sent)
		order = replace(orders, order, &subject, message);
	else
		fill(order, message, order->message.sequence);
	return order ? order->message.sequence : 0;
}

struct storing_message *store_orders_next(struct store_orders *orders)
{
	return orders->next ? &orders->next->message : NULL;
}

void store_orders_sent(struct store_orders *orders)
{
	orders->next->is_sent = true;
	orders->next = TAILQ_NEXT(orders->next, entry);
}

void store_orders_send_again(struct store_orders *orders)
{
	orders->next = TAILQ_FIRST(&orders->list);
}

void store_orders_confirm(struct store_orders *orders, uint64_t sequence)
{
	struct store_order *first;

	while ((first = TAILQ_FIRST(&orders->list)) && first->message.sequence <= sequence)
		take_out(orders, first);
}

bool store_orders_has_later(
	const struct store_orders *orders, const struct storing_message *message, uint64_t sequence)
{
	const struct subject subject = subject_of(message);
	const struct store_order *order = find_latest(orders, &subject);

	return order && order->message.sequence > sequence;
}

size_t store_orders_count(const struct store_orders *orders)
{
	return orders->n;
}

uint64_t store_orders_newest(const struct store_orders *orders)
{
	return orders->last_sequence;
}

uint64_t store_orders_lag_ms(const struct store_orders *orders)
{
	const uint64_t now_ms = clock_now_ms(&system_clock);
	uint64_t oldest_ms = now_ms;
	const struct store_order *order;

	TAILQ_FOREACH (order, &orders->list, entry)
		if (order->ordered_ms < oldest_ms)
			oldest_ms = order->ordered_ms;
	return now_ms - oldest_ms;
}

int store_orders_init(struct store_orders *orders)
{
	*orders = (struct store_orders){0};
	TAILQ_INIT(&orders->list);
	return hash_init(&orders->latest);
}

void store_orders_free(struct store_orders *orders)
{
	store_orders_clear(orders);
	hash_free(&orders->latest);
}
