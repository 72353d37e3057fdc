/*
 * What came from outside is answered the way that it came, and not into the tunnel: policy rules
 * for packets from this host's own addresses, and for those that the block has marked because their
 * connection came from outside (block_text.h). Whether they are answers the block decides.
 */
#pragma once

#include <stdint.h>

struct netlink;

/* Where the rules go, and where they lead. */
struct answer_place {
	uint32_t priority; /* of all of them */
	uint32_t target; /* the priority of the rule to go on with */
	uint32_t table; /* by which a client knows its own; they do not look into it */
};

/* Adds what is missing, and removes those of addresses that are gone. Not for those of the
 * interface, the tunnel's. Returns 0 or -errno. */
int answer_rules_set(
	struct netlink *netlink, const struct answer_place *place, unsigned int ifindex);
