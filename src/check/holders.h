/* Who holds which inner address, as the data plane, the server's table or the store has it. */
#pragma once

#include <stddef.h>

#include "plane/plane.h"

struct holder {
	struct ipv4 bind; /* of its endpoint */
	struct plane_peer peer; /* inner: its address; 0.0.0.0: it has not exactly one */
};

/* Zeroed: none. In no order before holders_sort(). */
struct holder_list {
	struct holder *list;
	size_t n;
};

/* Returns 0 or -ENOMEM. */
int holders_add(struct holder_list *holders, const struct holder *holder);
/* By endpoint and identity, which is the public key or the outer address; then by inner address. */
void holders_sort(struct holder_list *holders);
/* As that order has it: the inner addresses do not matter. */
int holders_compare(const struct holder *a, const struct holder *b);
/* Adds to `selected` those of an endpoint, and with a block those alone whose address is in it; in
 * their order. Returns 0 or -ENOMEM. */
int holders_select(const struct holder_list *holders, struct ipv4 bind, const struct prefix *block,
	struct holder_list *selected);
void holders_free(struct holder_list *holders);
