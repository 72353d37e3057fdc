/* A node's content unpacked, to be changed and packed again. For allowedips.c only. */
#pragma once

#include "device/wireguard/allowedips_node.h"

struct unpacked {
	bits128 key;
	int depth;
	place children[FANOUT];
	place prefixes[FANOUT];
};

void allowedips_unpack(const struct node *node, struct unpacked *unpacked);

/* A node with this content; NULL: no memory. */
struct node *allowedips_pack(const struct unpacked *unpacked);

/* Where in it an entry, or a node further down, belongs. */
place *unpacked_place(struct unpacked *unpacked, struct prefix_bits prefix);

/* The only place that is left in it, 0 if there are several. */
place unpacked_only(const struct unpacked *unpacked);
