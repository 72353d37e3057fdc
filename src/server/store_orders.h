/*
 * What the store is ordered to write and has not confirmed: kept in order, to be told again to a
 * store that is started after one that died. Of those about one address that are not on their way,
 * the last is enough.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/hash.h"
#include "ipc/storing.h"

struct store_order;

/* Private to store_orders.c. */
struct store_orders {
	TAILQ_HEAD(, store_order) list; /* the oldest first */
	struct store_order *next; /* to be sent; NULL: all are on their way */
	struct hash_table latest; /* by subject */
	size_t n;
	uint64_t last_sequence;
};

/* Returns 0 or -ENOMEM. */
int store_orders_init(struct store_orders *orders);
/* Those that are left are forgotten. */
void store_orders_free(struct store_orders *orders);

/*
 * The message is copied; its version and sequence number are filled in. An earlier one about the
 * same address gives way to it, but not across one that is about a whole endpoint. Returns the
 * sequence number, or 0 if there was no memory, which is logged.
 */
uint64_t store_orders_add(struct store_orders *orders, const struct storing_message *message);

/* The next to be sent, in which more_come is the caller's to set; NULL: there is none. */
struct storing_message *store_orders_next(struct store_orders *orders);
/* The one that is next was sent: the one after it is next. */
void store_orders_sent(struct store_orders *orders);
/* All are to be sent again, from the oldest on. */
void store_orders_send_again(struct store_orders *orders);

/* Those up to this sequence number are confirmed. */
void store_orders_confirm(struct store_orders *orders, uint64_t sequence);
/* All of them are given up. */
void store_orders_clear(struct store_orders *orders);

/* Whether there is one about the same address as the message that came after this sequence
 * number. */
bool store_orders_has_later(const struct store_orders *orders,
	const struct storing_message *message, uint64_t sequence);

/* How many are not confirmed. */
size_t store_orders_count(const struct store_orders *orders);
/* The newest one's sequence number; 0: there was none. */
uint64_t store_orders_newest(const struct store_orders *orders);
/* For how long the oldest that is not confirmed has waited, in ms; 0: there is none. */
uint64_t store_orders_lag_ms(const struct store_orders *orders);
