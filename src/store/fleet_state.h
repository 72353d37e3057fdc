/* What the store of a fleet's host has: etcd, the fleet's key, its copy of what is in etcd, and the
 * addresses that this host serves. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/storing.h"
#include "store/fleet_view.h"
#include "store/record.h"

struct database;
struct etcd;
struct outbox;

enum served_state {
	SERVED_UNCLAIMED, /* to be claimed, when there is something to claim it with */
	SERVED_CLAIMED, /* ours: our epoch holds */
	SERVED_SUPERSEDED, /* another host has claimed it since */
	SERVED_COLLIDES, /* what it has belongs to another endpoint */
};

/* An address of this host. */
struct served {
	struct ipv4 bind;
	enum served_state state;
	struct stored_endpoint endpoint; /* as etcd has it; its epoch is that of its record */
	struct fleet_holder holder; /* ours */
	struct record record; /* of it, as etcd has it: each transaction compares it */
	bool is_changed; /* the endpoint's record is to be written again */
	uint64_t active_due_ms; /* when activity is written next */
};

typedef int fleet_tell_fn(const struct storing_message *message);

struct fleet {
	struct etcd *etcd;
	struct record_maker maker;
	char name[STORE_FLEET_SIZE];
	char host[HOLDER_HOST_SIZE];
	struct database *database; /* the store's */
	struct outbox *outbox;
	struct fleet_view view;
	struct served *served;
	size_t n_served;
	fleet_tell_fn *tell;
	bool cannot_write; /* and that was said */
	uint64_t retry_ms; /* when etcd is asked again */
	size_t n_ignored; /* records of addresses, said */
};
