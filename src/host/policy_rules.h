/*
 * The policy rules (ip-rule(8)) that make the tunnels' traffic go where it should: answers to the
 * block into the tunnels, whatever rules the host has of its own; and what comes from an endpoint's
 * block where its bind address's traffic goes, for hosts with several uplinks: NAT comes after
 * routing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct host_config;
struct netlink;
struct rule;

/*
 * To be called at start and every few seconds: adds what is missing, removes what an earlier server
 * or an earlier state of the host needed, and logs what it changed. netlink is of NETLINK_ROUTE.
 * Returns 0 or the first -errno, logged.
 */
int policy_rules_reconcile(struct netlink *netlink, const struct host_config *config);

/* Which rule, as ip-rule(8) writes it, is missing, or is there and is not to be. */
typedef int policy_rule_fn(void *context, const char *text, bool is_missing);
/* Calls back for each that policy_rules_reconcile() would add or remove, and changes nothing. A
 * callback's non-zero result ends it and is returned. Else 0 or -errno. */
int policy_rules_compare(struct netlink *netlink, const struct host_config *config,
	policy_rule_fn *differs, void *context);

/* Removes them all, and logs each. dry_run: only logs them. Returns how many there
 * were, or the first -errno, logged. */
int policy_rules_remove(struct netlink *netlink, bool dry_run);

/*
 * The rules there should be, given those there are: never one that the host has itself. The array
 * is the caller's to free. Returns 0 or -ENOMEM.
 */
int policy_rules_wanted(const struct host_config *config, const struct rule *present,
	size_t n_present, struct rule **wanted, size_t *n_wanted);
