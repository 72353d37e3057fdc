/*
 * Who had which inner address when. A flow's end is told of after its client has gone, and the
 * address may be another's by then: so those who had it are remembered, as many as there is room
 * for.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/hash.h"
#include "base/ipv4.h"
#include "ipc/client_name.h"

enum {
	/* Who have gone, of all addresses; those who went first are forgotten first. Some 12 MB, 25
	   with the longest names. */
	OWNERS_MAX_PAST = 65536,
	OWNERS_NAME_SIZE = 2 * CLIENT_NAME_SIZE, /* written as JSON has it */
};

struct owned_address;

/* One client's time with an address. */
struct owner {
	struct owned_address *address;
	struct owner *before; /* who had it before, or NULL */
	uint64_t since_ns; /* since 1970: no flow that began before is its own */
	uint64_t told_ns; /* likewise: when it is said to have begun */
	uint64_t until_ns; /* 0: it has it */
	const char *kind; /* "wireguard", "ipip" */
	TAILQ_ENTRY(owner) entry; /* of those who have gone */
	char name[]; /* of the client, in quotes as JSON has it; "": it has none */
};

struct owners {
	struct hash_table addresses;
	TAILQ_HEAD(past_owners, owner) past; /* who went first is first */
	size_t n_past;
	uint64_t latest_ns; /* the latest time that is in it */
};

/* Returns 0 or what hash_init() returns. */
int owners_init(struct owners *owners);
void owners_free(struct owners *owners);

/*
 * A client has the address, since then (ns since 1970; 0: not known); kind is kept by reference.
 * Whoever had it has it no longer; if that was the same client, nothing changes. Returns 0 or
 * -ENOMEM.
 */
int owners_begin(struct owners *owners, struct ipv4 inner, const char *kind,
	const struct client_name *name, uint64_t when_ns);
/* Whoever has the address has it no longer. */
void owners_end(struct owners *owners, struct ipv4 inner, uint64_t when_ns);

/*
 * To be called before flows are looked for, with the time of day, by which the kernel tells of
 * them. If that was set back, who has gone by the time before is forgotten: what others begin now
 * would be taken for his when that time comes again. Who came by it has come now.
 */
void owners_look_at_clock(struct owners *owners, uint64_t now_ns);

/* Who had the address when a flow began, or, where that is not known (0), when it ended. NULL:
 * nobody that is known. */
const struct owner *owners_find(
	const struct owners *owners, struct ipv4 inner, uint64_t start_ns, uint64_t end_ns);
