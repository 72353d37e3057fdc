/* iptables in both of its shapes, by its own programs: as saved text, and as a batch of changes. */
#pragma once

#include <stdbool.h>

#include "host/run.h"

enum iptables_kind {
	IPTABLES_NFT, /* rules in nftables, which nft sees too */
	IPTABLES_LEGACY, /* rules in the kernel's ip_tables, which nft does not see */
};

const char *iptables_kind_name(enum iptables_kind kind);

/* Whether there are any tables of that kind: without starting a program, which could make some. */
bool iptables_in_use(enum iptables_kind kind);

/* Whether the kernel has a filter table for the legacy iptables in this network namespace: reads
 * one small file. */
bool iptables_legacy_has_filter(void);

/* What iptables-save prints; the caller frees it. Returns 0 or as run_program(). */
int iptables_save(enum iptables_kind kind, char **text, struct run_error *error);

/* A line of what iptables-save printed for a table such as "filter": a chain (":INPUT DROP [0:0]"),
 * a rule ("-A INPUT ..."), or at last "COMMIT". */
typedef void iptables_line_fn(void *context, const char *table, const char *line);

/* Calls back for each line that is in a table, in their order. Returns 0 or -ENOMEM. */
int iptables_walk(const char *saved, iptables_line_fn *found, void *context);

/* Applies a batch of iptables-restore's; what it does not name stays. Each table changes as a whole
 * or not at all. Returns 0 or as run_program(). */
int iptables_restore(enum iptables_kind kind, const char *batch, struct run_error *error);
