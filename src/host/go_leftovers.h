/* The iptables rules that a Go vprox leaves when it ends: they carry a comment that begins with
 * "vprox ". */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * Removes them, of iptables-nft and of legacy iptables, and logs how many. At start only: where
 * there are any iptables rules at all, it runs iptables-save, and iptables-restore if there is
 * something to remove. dry_run: only logs how many there are. Returns how many there
 * were, or -errno; what goes wrong is logged.
 */
int go_leftovers_remove(bool dry_run);

/*
 * From what iptables-save printed, the batch for iptables-restore --noflush that removes them, and
 * their number. The caller frees the text; NULL when there is no memory.
 */
char *go_leftovers_batch(const char *saved, size_t *n_rules);
