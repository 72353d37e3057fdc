/* What the store of a fleet's host has: etcd, the fleet's key, its copy of what is in etcd, and the
 * addresses that this host serves. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/storing.h"
#include "store/fleet_view.h"
#include "store/history.h"
#include "store/record.h"

struct database;
struct etcd;
struct kv_transaction;
struct names;
struct outbox;

enum served_state {
	SERVED_UNCLAIMED, /* to be claimed, when there is something to claim it with */
	SERVED_CLAIMED, /* ours: our epoch holds */
	SERVED_RELEASED, /* likewise, but this host has the address no more */
	SERVED_SUPERSEDED, /* another host has claimed it since */
	SERVED_COLLIDES, /* what it has belongs to another endpoint */
};

/* An address of another host, which this one may get. */
struct followed_address {
	struct ipv4 bind;
	uint64_t floor; /* of its holder, with which all of it was read */
	/* Of etcd: up to there all is in the copy, and the broker was told; 0: nothing. */
	uint64_t revision, active_revision;
	/* etcd was put back, and what the copy has may be newer: it is read again when its holder
	 * has sealed all of it in a later epoch than this, or writes on without having done so. 0:
	 * it was not. */
	uint64_t put_back_epoch;
	/* Of the endpoint's record, as it was first seen since, and when; 0: it was not yet */
	uint64_t put_back_revision, put_back_ms;
};

/* An address of this host. */
struct served {
	struct ipv4 bind;
	enum served_state state;
	struct stored_endpoint endpoint; /* as etcd has it; its epoch is that of its record */
	struct fleet_holder holder; /* ours */
	struct record record; /* of it, as etcd has it: each transaction compares it */
	bool is_wanted; /* SERVED_SUPERSEDED: this host has the address all the same */
	bool is_told; /* the broker knows all of it, as it was followed before */
	bool is_changed; /* the endpoint's record is to be written again */
	uint64_t active_due_ms; /* when activity is written next */
	/* The question that its holder has not answered yet, 0: it was not seen; since when
	 */
	uint64_t asked_revision, asked_ms;
	bool is_asked; /* its holder, which has not answered yet */
	bool is_put_back; /* what the copy has of it is newer than etcd's */
	bool is_own; /* when it was claimed all of it in etcd was of this host */
	/* What this host has written of it last since it claimed it, and etcd's revision then; 0:
	 * nothing yet. Never the holder's record, which is compared by itself. */
	struct record_name written;
	uint64_t written_revision;
	uint64_t claim_due_ms; /* it could not be claimed, and is not tried before; 0: it was not
				  tried in vain */
	/* When its holder's record was lost last, which no host has changed; and how long it is not
	 * claimed when that comes again soon. */
	uint64_t lost_ms, again_ms;
	bool is_foreign; /* that is since its records are sealed under another key, and was said */
};

enum {
	FLEET_ACTIVE_MS = 5 * 60 * 1000, /* between two records of activity of a group */
	/* Each costs a host a device of its own: of a fleet's many addresses a host is ready to get
	 * so many at once, and makes what belongs to any further one when it gets it. */
	FLEET_MOST_FOLLOWED = 64,
};

typedef int fleet_tell_fn(const struct storing_message *message);

struct fleet {
	struct etcd *etcd;
	struct names *names; /* NULL: etcd's members are addresses */
	struct record_maker maker;
	char name[STORE_FLEET_SIZE];
	char host[HOLDER_HOST_SIZE];
	struct database *database; /* the store's */
	struct outbox *outbox;
	struct fleet_view view;
	struct served *served;
	size_t n_served;
	struct prefix blocks[STORE_MOST_BLOCKS];
	size_t n_blocks;
	struct followed_address *followed; /* FLEET_MOST_FOLLOWED of them have room */
	size_t n_followed;
	uint64_t follow_due_ms; /* when it is looked what others promise */
	fleet_tell_fn *tell;
	bool is_starting; /* the broker has taken nothing into use yet */
	bool cannot_write; /* and that was said */
	uint64_t retry_ms; /* when etcd is asked again */
	uint64_t watch_due_ms; /* when it is asked whether what is ours still is */
	size_t n_ignored; /* records of addresses, said */
	size_t n_put_back; /* addresses that etcd has of an older epoch than was seen, said */
	uint64_t put_back_due_ms; /* when it is looked whether etcd was put back */
	bool has_lost; /* what this host has written last is not in etcd */
	uint64_t written; /* the last order of the broker's that is in the copy */
	struct stored_state state; /* and what of it was said */
	struct history history; /* of etcd */
	uint64_t look_due_ms; /* at which key the fleet's addresses are sealed under */
	bool knows_keys; /* that was seen, and said */
};

/* NULL: it is none of this host's. */
struct served *fleet_find_served(struct fleet *fleet, struct ipv4 bind);
/* It is another host's since, of which the broker is told. Returns 0 or -EPIPE. */
int fleet_supersede(struct fleet *fleet, struct served *served, const struct seen_address *seen);
/* Reads the view anew. Returns 0 or as etcd_ask(). */
int fleet_look(struct fleet *fleet);
/* Likewise; the others' endpoints are put into the copy. Returns 0 or as etcd_ask() or
 * database_put_endpoint(). */
int fleet_read_view(struct fleet *fleet);
/* Puts it into the copy, if it is not there as it is. Returns 0 or as database_put_endpoint(). */
int fleet_copy_endpoint(struct fleet *fleet, const struct stored_endpoint *endpoint);
/* Whether its record of the holder is this host's; also where this host has the address no more:
 * what it has to say of that is sent too. */
bool fleet_is_held(const struct served *served);
/* The transaction is done only if that record is as this host wrote it. */
void fleet_compare_holder(struct kv_transaction *transaction, const struct served *served);
void fleet_put(struct kv_transaction *transaction, const struct record *record);
/* A transaction of this host's that has put this record there was done. */
void fleet_keep_written(struct fleet *fleet, struct served *served, const struct record *record);
/* The transaction is done only if that record is there still, or was written anew: else etcd was
 * put back. Its own revision may be later than that all the same, if others have gone on in it. */
void fleet_compare_written(struct kv_transaction *transaction, const struct served *served);
/* Why etcd could not be asked, for the log. */
const char *fleet_why(const struct fleet *fleet, int error);
