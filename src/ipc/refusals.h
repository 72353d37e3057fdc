/*
 * Requests that were refused, put together: one entry for each client's address, address that it
 * came to and reason, with a count. Whoever floods a server with wrong passwords is so one line a
 * second. A gate gathers its own and tells them to the broker, which gathers those of all gates.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ipv4.h"

enum {
	REFUSALS_MAX = 64, /* entries; what finds no place is counted in one more */
	REFUSALS_PERIOD_MS = 1000, /* for how long they are gathered */
};

enum refusal_reason {
	REFUSAL_PASSWORD = 1, /* none, or a wrong one; or a token that is none any more */
	REFUSAL_CONNECTIONS, /* --max-connections-per-source */
	REFUSAL_INSIDE, /* from inside a tunnel */
	/* The broker's. */
	REFUSAL_PEERS, /* --max-peers-per-source, or those of a name */
	REFUSAL_POOL, /* no address is left */
	REFUSAL_OTHER_CLIENT, /* the tunnel to the client's address is another's */
	REFUSAL_KEY, /* it cannot be a peer's */
	REFUSAL_SOURCE, /* no tunnel of IPIP is possible to it */
	REFUSAL_NOT_SERVED, /* the address that it came to, any more */
	REFUSAL_FAILED, /* the tunnel could not be made, or removed */
	REFUSAL_VARIOUS, /* those that found no place: of no address */
	REFUSAL_REASON_END,
};

/* The words for it in the audit: "password" and so on. */
const char *refusal_reason_name(enum refusal_reason reason);

/* Without padding: it goes in a message. */
struct refused_request {
	struct ipv4 source; /* the client's; 0.0.0.0: of VARIOUS */
	struct ipv4 bind; /* what it came to */
	uint16_t source_port; /* of the first of them */
	uint16_t reason; /* enum refusal_reason; 0: there is no refusal */
	uint32_t count;
};

/* Zeroed at first. */
struct refused_requests {
	size_t n;
	struct refused_request entries[REFUSALS_MAX];
	uint32_t n_various;
};

/* Adds refusal->count. Returns the place of its entry, or REFUSALS_MAX if it found none. */
size_t refusals_add(struct refused_requests *refusals, const struct refused_request *refusal);

/* Takes the last entry out, at last that of VARIOUS. False: there is none. */
bool refusals_take(struct refused_requests *refusals, struct refused_request *refusal);
bool refusals_are_empty(const struct refused_requests *refusals);
