/* foreign_firewall.h's chain VPROX in legacy iptables, which nft does not see and which has no
 * number that a change would move on: at start and stop only. What goes wrong is logged. */
#pragma once

#include <stdbool.h>

struct host_config;

/* Where the legacy filter table drops what it does not accept to forward: VPROX, and the jump to it
 * first in FORWARD. Starts no program where legacy iptables is not in use. */
void legacy_firewall_open(const struct host_config *config);
/* dry_run: only logs it. Returns 1 if it was there, 0 if not, or -errno. */
int legacy_firewall_remove(bool dry_run);

/*
 * From what iptables-save printed, the batch for iptables-restore --noflush that writes VPROX, or
 * that removes it: "" if nothing is to be done. The caller frees it; NULL when there is no memory.
 */
char *legacy_firewall_opening(const char *saved, const struct host_config *config);
char *legacy_firewall_closing(const char *saved);
