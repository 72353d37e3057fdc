/* The batches for iptables-restore that let tunnels through iptables-legacy, as text. */
#pragma once

#include <stdbool.h>

struct host_config;

/*
 * From what iptables-save printed, the batch for iptables-restore --noflush that writes VPROX and
 * its jump or takes them away as needed, or that removes them: "" if nothing is to be done. The
 * caller frees it; NULL when there is no memory. is_shared: RULESET_PLACE_SHARED.
 */
char *legacy_batch_opening(const char *saved, const struct host_config *config, bool *is_shared);
char *legacy_batch_closing(const char *saved);
