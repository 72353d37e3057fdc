/*
 * A table of nftables that is a client's own, in the family inet: loaded as a whole, found out if
 * another program changes it, and loaded again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nftables/loaded_tables.h"
#include "nftables/nft.h"

enum { OWN_TABLE_NAME_SIZE = 80 };

struct own_table {
	char name[OWN_TABLE_NAME_SIZE];
	char *text; /* as it was loaded last; NULL: not loaded by this process */
	struct loaded_tables loaded; /* likewise */
};

/* Zeroed but for its name: the prefix, and the interface's. An interface's name may have bytes that
 * nft does not take in a table's: these, and _, are written as _ and two hexadecimal digits. */
struct own_table own_table_for(const char *prefix, const char *interface);
/* The interface that a table of that name is for. False if it is none of that prefix. */
bool own_table_interface(const char *name, const char *prefix, char *interface, size_t size);

/*
 * Loads the table unless it is there as it is to be; in one step, so that there is no moment
 * without it. text: what stands between the braces, in nft's language. A change by another program
 * is logged. Returns 0, -ENOMEM, or -EIO with nft's reason in *reason; then what was there stays.
 */
int own_table_set(struct own_table *table, const char *text, struct nft_error *reason);

/* In how many milliseconds own_table_set() is to be called again though nobody tells of a change,
 * as others changed nftables each time that the table was loaded, or that failed; 0: not at all. */
uint64_t own_table_wait_ms(const struct own_table *table);

/* Whether there is one. Returns 1, 0 or -errno; 0, too, where the kernel has no nftables. */
int own_table_exists(const struct own_table *table);

/* Removes it, if it is there. Returns 0, or -EIO with the reason. */
int own_table_remove(struct own_table *table, struct nft_error *reason);
/* Leaves it where it is. */
void own_table_forget(struct own_table *table);
