/* foreign_firewall.h's chain VPROX in the filter table of iptables-legacy, which nft does not see
 * and which has no generation: a digest tells whether it has changed. What goes wrong is logged. */
#pragma once

#include <stdbool.h>

struct event_base;
struct host_config;
struct legacy_firewall;

/* base: what waits for programs does that in a thread, and goes on in this event loop; NULL: it
 * blocks. The configuration must stay valid. NULL when there is no memory. */
struct legacy_firewall *legacy_firewall_new(
	struct event_base *base, const struct host_config *config);
/* Waits for a program that is running. NULL is fine. */
void legacy_firewall_free(struct legacy_firewall *state);

/*
 * Where the filter table drops what it does not accept to forward: VPROX, and a jump to it where
 * ruleset_place.h says; takes both away where it does not. To be called every few seconds; the
 * first call blocks. Starts programs only when the table has changed; without a table it costs the
 * reading of one small file.
 */
void legacy_firewall_reconcile(struct legacy_firewall *state);

/* The configuration has other endpoints now: the next call looks whether it is right for them. */
void legacy_firewall_endpoints_changed(struct legacy_firewall *state);

/* What iptables-save printed when the table was seen to change last; NULL: there is none, or it is
 * being read anew. */
const char *legacy_firewall_saved(const struct legacy_firewall *state);

/* dry_run: only logs it. Returns 1 if it was there, 0 if not, or -errno. */
int legacy_firewall_remove(bool dry_run);
