/*
 * How many connections each source address has, over all gates: in memory that they share. Each
 * gate writes a sheet of its own, and reads those of the others. No message is needed, and no gate
 * can change what another one has counted.
 *
 * A sheet is a table of counters. An address has one in each row, by two parts of its hash, and
 * shares them with others; the smaller one is nearer to the truth. So a sheet has one size, however
 * many addresses there are (a count-min sketch: Cormode and Muthukrishnan 2005).
 */
#pragma once

#include <netinet/in.h>
#include <stdint.h>

enum {
	SOURCE_COUNTS_ROWS = 2,
	SOURCE_COUNTS_SLOTS = 8192, /* of a row; a power of two */
};

struct source_sheet {
	uint32_t slots[SOURCE_COUNTS_ROWS][SOURCE_COUNTS_SLOTS];
};

/* The hash's key, the same in all gates of a server, and known to nobody else: else one could
 * choose addresses that share their counters with somebody's. */
struct source_counts_seed {
	uint64_t words[2];
};

/* Returns 0 or -EIO. */
int source_counts_new_seed(struct source_counts_seed *seed);

/* For the broker. Returns an empty sheet, a memfd of a fixed size (close-on-exec), or -errno. */
int source_sheet_new(void);
/* Returns a descriptor of a sheet that it can only be read by, or -errno. */
int source_sheet_open_for_reading(int sheet_fd);
/* All that its gate has counted is void. Returns 0 or -errno. */
int source_sheet_clear(int sheet_fd);
/* Returns how many connections there are on a sheet, or -errno. */
int64_t source_sheet_total(int sheet_fd);

/* For a gate: its sheet, and those of the others. All zero: it counts nothing. */
struct source_counts {
	struct source_counts_seed seed;
	struct source_sheet *own;
	const struct source_sheet **others;
	unsigned int n_others;
};

/* Maps its own sheet and n_others others, whose descriptors begin at first_other; they stay the
 * caller's, who may close them. Returns 0 or -errno; to be freed in either case. */
int source_counts_map(struct source_counts *counts, const struct source_counts_seed *seed, int own,
	int first_other, unsigned int n_others);
void source_counts_free(struct source_counts *counts);

/* One connection more, or one less, of an address. */
void source_counts_add(struct source_counts *counts, const struct in6_addr *address);
void source_counts_remove(struct source_counts *counts, const struct in6_addr *address);

/* How many connections of the address the others have: never less than they have, and more only
 * where other addresses share both of its counters. Of each of the others so many are believed at
 * the most. */
uint32_t source_counts_elsewhere(
	const struct source_counts *counts, const struct in6_addr *address, uint32_t believed);
