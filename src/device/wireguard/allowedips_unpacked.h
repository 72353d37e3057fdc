/* A node's content spread out, to be changed and packed again. For allowedips.c only. */
#pragma once

#include "device/wireguard/allowedips_node.h"

struct spread {
	bits128 key;
	int depth;
	place children[FANOUT];
	place prefixes[FANOUT];
};

void spread_node(const struct node *node, struct spread *spread);

/* A node with this content; NULL: no memory. */
struct node *spread_pack(const struct spread *spread);

/* Where in it an entry, or a node further down, belongs. */
place *spread_place(struct spread *spread, struct prefix_bits prefix);

/* The only place that is left in it, 0 if there are several. */
place spread_only(const struct spread *spread);
