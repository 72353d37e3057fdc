/* Tells whether anybody has changed a table of nftables, read from the kernel (nf_tables over
 * netlink, linux/netfilter/nf_tables.h). */
#pragma once

#include <stdint.h>

enum {
	TABLE_DIGEST_SIZE = 32, /* SHA-256 */
};

/* How the names of sets begin whose elements are for who owns the table to compare: they hold
 * something of each client. */
#define TABLE_DIGEST_APART "peers_"

/*
 * The digest of all that a table consists of, but for what packets change: what is in the sets that
 * they fill, and counts; and for the elements of sets that are kept apart. So it takes no longer
 * for 100,000 clients than for one. Returns 0 or -errno; -ENOENT: it is not there; -EINTR: the
 * ruleset kept changing.
 */
int table_digest(uint8_t family, const char *table, uint8_t digest[TABLE_DIGEST_SIZE]);
