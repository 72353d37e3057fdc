/*
 * Tables of nftables that this process has loaded, and compares later to see whether another
 * program has changed them. What another one changes while they are loaded is not taken for a part
 * of them: each change of nftables moves the ruleset's generation on by one, so that others' show.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nftables/nft.h"
#include "nftables/table_digest.h"

struct netlink;

enum {
	LOADED_TABLES_MAX = 2,
	LOADED_TABLES_DIGEST_SIZE = LOADED_TABLES_MAX * TABLE_DIGEST_SIZE,
};

/* Which tables they are: one of that name in each family (NFPROTO_...). */
struct loaded_tables_names {
	const char *name;
	uint8_t families[LOADED_TABLES_MAX];
	size_t n_families;
	/* Whether their sets that are kept apart (TABLE_DIGEST_APART) hold what they should. NULL:
	 * they have none. */
	bool (*has_sets)(const void *context);
	const void *context;
};

/* As they were loaded; zeroed before. */
struct loaded_tables {
	uint32_t generation; /* of the ruleset, when they were found to be so */
	uint8_t digest[LOADED_TABLES_DIGEST_SIZE];
	/* Others changed nftables each time that they were loaded, or that failed, or they cannot
	 * be read: the digest may be of what others have made of them. */
	bool is_uncertain;
	uint64_t next_load, delay; /* ms: when they are to be loaded again for that, and after what
				    * time */
};

enum loaded_tables_comparison {
	LOADED_TABLES_SAME,
	LOADED_TABLES_CHANGED, /* by another program */
	LOADED_TABLES_UNCERTAIN, /* it is time to load them again */
};

/* Digests the tables as they are now, but for what packets change; zeros where there are less than
 * LOADED_TABLES_MAX. Returns 0 or -errno; -ENOENT: one is not there. */
int loaded_tables_digest(
	const struct loaded_tables_names *names, uint8_t digest[LOADED_TABLES_DIGEST_SIZE]);

/*
 * Runs commands that replace all of the tables, a few times if others change nftables meanwhile.
 * Where they do so each time, it fails, or the tables cannot be read then, these are uncertain, and
 * LOADED_TABLES_UNCERTAIN comes after 5 s and then, doubled each time, after up to 10 minutes.
 * Warns of this, unless it fails. Returns what nft_run() does.
 */
int loaded_tables_load(const struct loaded_tables_names *names, struct loaded_tables *tables,
	const char *commands, struct nft_error *reason);

/*
 * Runs commands that change something in the tables, if they are as loaded. Returns 0, what
 * nft_run() does, or -ESTALE with the reason: others have changed them, or may have meanwhile. Then
 * they are to be loaded.
 */
int loaded_tables_change(const struct loaded_tables_names *names, struct loaded_tables *tables,
	const char *commands, struct nft_error *reason);

/* After n transactions of our own that have changed nothing but sets that are kept apart; asks by a
 * socket of NETLINK_NETFILTER. What others have changed too is compared the next time. */
void loaded_tables_follow(struct loaded_tables *tables, struct netlink *netlink, uint32_t n);

/* One netlink message where nobody has changed any table since the last call. Returns a
 * loaded_tables_comparison, or -errno: they cannot be read, and become uncertain. */
int loaded_tables_compare(const struct loaded_tables_names *names, struct loaded_tables *tables);

/* Whether they have their digest, also where nobody should have changed any table; some 0.7 ms.
 * What is kept apart is not compared. Returns LOADED_TABLES_SAME, LOADED_TABLES_CHANGED, or -errno:
 * they cannot be read. */
int loaded_tables_inspect(
	const struct loaded_tables_names *names, const struct loaded_tables *tables);

/* Milliseconds until LOADED_TABLES_UNCERTAIN comes, after which they are to be loaded; 5 s where it
 * has come already, as that has failed; 0: the tables are certain. */
uint64_t loaded_tables_wait_ms(const struct loaded_tables *tables);
