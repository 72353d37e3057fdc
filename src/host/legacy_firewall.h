/* foreign_firewall.h's chain VPROX in the filter table of iptables-legacy, which nft does not see
 * and which has no generation: a digest tells whether it has changed. What goes wrong is logged. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "host/legacy_digest.h"

struct host_config;

/* What was seen last; zeroed at the beginning. */
struct legacy_firewall {
	bool is_known; /* the digest is of a table that is as it should be */
	uint8_t digest[LEGACY_DIGEST_SIZE];
	bool is_failing; /* logged */
	bool is_shared; /* likewise */
	unsigned int delay, wait; /* calls, after a failure: until the next try */
};

/*
 * Where the filter table drops what it does not accept to forward: VPROX, and a jump to it where
 * ruleset_place.h says; takes both away where it does not. To be called every few seconds. Starts
 * programs only when the table has changed; without a table it costs the reading of one small file.
 */
void legacy_firewall_reconcile(struct legacy_firewall *state, const struct host_config *config);
/* dry_run: only logs it. Returns 1 if it was there, 0 if not, or -errno. */
int legacy_firewall_remove(bool dry_run);

/*
 * From what iptables-save printed, the batch for iptables-restore --noflush that writes VPROX and
 * its jump or takes them away as needed, or that removes them: "" if nothing is to be done. The
 * caller frees it; NULL when there is no memory. is_shared: RULESET_PLACE_SHARED.
 */
char *legacy_firewall_opening(const char *saved, const struct host_config *config, bool *is_shared);
char *legacy_firewall_closing(const char *saved);
