/* Compares who holds which address, as the three that know it have it. */
#pragma once

#include <stdbool.h>

struct disagreements;
struct holder_list;

/* Each of them sorted. NULL: it cannot be asked, which is no disagreement. */
struct comparison {
	const struct holder_list *there; /* in the data plane */
	const struct holder_list *table; /* of the server; NULL: none runs */
	const struct holder_list *stored;
};

/* Adds what disagrees. Returns 0 or -ENOMEM. */
int compare_holders(const struct comparison *comparison, struct disagreements *disagreements);
