/*
 * Of the store's file, where it is the copy of what a fleet keeps in etcd: what etcd does not have
 * yet, and as whom it knows us. Both are in the file, so that a store that ends loses none of it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/storing.h"

struct database;
struct outbox;

enum {
	OUTBOX_GROUP = 256, /* inner addresses whose activity is one record */
};

struct outbox_entry {
	struct storing_message message; /* STORING_PEER or STORING_FREED */
	uint64_t place; /* of the latter, in the order in which addresses were freed */
	bool is_urgent; /* it has changed; else it is only to be sealed anew */
};

/* The database stays the caller's. From now on all changes of peers are kept as unsent. Returns 0
 * or -EIO; why is in database_error(). */
int outbox_open(struct database *database, struct outbox **outbox);
/* NULL is fine. */
void outbox_close(struct outbox *outbox);

/* What is unsent of an endpoint, the urgent ones first; as many as there is room for, or all.
 * Returns how many, or -EIO. */
int outbox_take(struct outbox *outbox, struct ipv4 bind, struct outbox_entry *entries, size_t max);
/* These have been sent. Returns 0 or -EIO. */
int outbox_sent(struct outbox *outbox, const struct outbox_entry *entries, size_t n);
/* All its peers and freed addresses are to be sealed anew, without haste. */
int outbox_add_all(struct outbox *outbox, struct ipv4 bind);
/* What is unsent of it has come from etcd: there is no haste. */
int outbox_calm(struct outbox *outbox, struct ipv4 bind);
/* Nothing of it is to be sent any more. */
int outbox_forget(struct outbox *outbox, struct ipv4 bind);
/* Whether this address has changed since it was sent. */
bool outbox_has(struct outbox *outbox, struct ipv4 bind, struct ipv4 inner);
/* Whether it is kept as freed. */
bool outbox_is_freed(struct outbox *outbox, struct ipv4 bind, struct ipv4 inner);

/* One group of addresses of an endpoint of which some were active since: the first of them, and
 * when each was. Returns 1, 0 if there is none, or -EIO. */
int outbox_take_active(struct outbox *outbox, struct ipv4 bind, struct ipv4 *first,
	uint32_t active_s[OUTBOX_GROUP]);
int outbox_sent_active(struct outbox *outbox, struct ipv4 bind, struct ipv4 first);
/* What another host wrote of it. It is to be sealed anew. */
int outbox_set_active(struct outbox *outbox, struct ipv4 bind, struct ipv4 first,
	const uint32_t active_s[OUTBOX_GROUP]);

/* Whether somebody is promised an address there by this host alone: no fleet has known it. */
bool outbox_has_own_peers(struct outbox *outbox, struct ipv4 bind);
/* Likewise by any host; also where that cannot be read. */
bool outbox_has_peers(struct outbox *outbox, struct ipv4 bind);

/* Forgets the peers and freed addresses of an endpoint: another host has had it since. */
int outbox_empty(struct outbox *outbox, struct ipv4 bind);
/* Returns 1, or 0 if there is none. */
int outbox_find_endpoint(struct outbox *outbox, struct ipv4 bind, struct stored_endpoint *endpoint);

/*
 * As whom etcd knows us: the very value of the record of who holds an address. The next
 * one is that which is being put in place of it. Return 0 or -EIO.
 */
int outbox_set_holder(struct outbox *outbox, struct ipv4 bind, const uint8_t *value, size_t size);
int outbox_set_next_holder(
	struct outbox *outbox, struct ipv4 bind, const uint8_t *value, size_t size);
/* The latest epoch of an endpoint that was seen, and up to which all of it was sealed anew. The
 * former holds where it is greater. Return 0 or -EIO. */
int outbox_see_epoch(struct outbox *outbox, struct ipv4 bind, uint64_t epoch, uint64_t floor);
/* Both are 0 if none was seen. */
int outbox_find_epoch(struct outbox *outbox, struct ipv4 bind, uint64_t *epoch, uint64_t *floor);
/*
 * Endpoints that have collided with what is another's when a server was started: whose numbers they
 * have. To be asked about as long as nobody has given them up, or claimed them after all. Return 0
 * or -EIO.
 */
int outbox_set_collision(struct outbox *outbox, struct ipv4 bind, struct ipv4 other);
int outbox_clear_collision(struct outbox *outbox, struct ipv4 bind);
/* The first of them behind this address in their order, which begins with 0.0.0.0. Returns 1, 0 if
 * there is none, or -EIO. */
int outbox_next_collision(struct outbox *outbox, struct ipv4 *bind, struct ipv4 *other);
/* In one transaction: nothing is kept of this endpoint, as if it had never been. */
int outbox_abandon(struct outbox *outbox, struct ipv4 bind);

/* Whether it is one of both: no other host has held the address since this file was written. */
bool outbox_knows_holder(
	struct outbox *outbox, struct ipv4 bind, const uint8_t *value, size_t size);
