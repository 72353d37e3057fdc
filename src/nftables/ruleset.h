/*
 * What nftables holds, read from the kernel (nf_tables over netlink, linux/netfilter/nf_tables.h):
 * other programs' chains and rules, as far as they can stand in a tunnel's way. Changing anything
 * is nft.h's part.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nftables/ruleset_decode.h"

typedef bool ruleset_chain_filter(const struct ruleset_chain *chain);

struct netlink;

/* A number that every change of any table moves on; the second asks by a socket of
 * NETLINK_NETFILTER that there is. Return 0 or -errno. */
int ruleset_generation(uint32_t *generation);
int ruleset_generation_by(struct netlink *netlink, uint32_t *generation);

/*
 * The wanted chains of all families; all rules of one table, those of a chain one after the other
 * in their order, none if it is not there. The caller frees the list. Return 0 or -errno; -EINTR if
 * the ruleset kept changing.
 */
int ruleset_chains(ruleset_chain_filter *wanted, struct ruleset_chain **chains, size_t *n);
int ruleset_rules(uint8_t family, const char *table, struct ruleset_rule **rules, size_t *n);

struct ruleset_counter {
	char name[RULESET_NAME_SIZE];
	uint64_t packets;
};

/* The named counters of one table, none if it is not there. As ruleset_rules(). */
int ruleset_counters(
	uint8_t family, const char *table, struct ruleset_counter **counters, size_t *n);

/* How nft writes the family: "ip", "inet"; NULL for the others, whose forward and input chains see
 * no IPv4 packet that is routed. */
const char *ruleset_family_name(uint8_t family);
