/*
 * An endpoint of this host that collides with what its fleet has: its index, port or block are
 * another endpoint's, or the fleet knows its address by another key.
 */
#pragma once

#include <stdbool.h>

#include "store/fleet_state.h"

/* Whether index, port and block are the same. */
bool fleet_has_same_numbers(const struct stored_endpoint *a, const struct stored_endpoint *b);

/* This host has served the address by itself, and by the same numbers, but with another key; its
 * clients would lose what they were promised without a word of it. */
bool fleet_has_other_clients(struct fleet *fleet, const struct stored_endpoint *local,
	const struct stored_endpoint *seen);

/* Tells the broker, and the copy where somebody has to say what is given up. whose: the address it
 * collides with. host: which has another key there; NULL: its numbers are in the way. Returns
 * -EEXIST, or as fleet->tell(). */
int fleet_tell_collision(struct fleet *fleet, const struct stored_endpoint *endpoint,
	struct ipv4 whose, const char *host);

/* Of two hosts that are new and start at the same moment both may take the lowest number; as when
 * etcd is away. Who has no clients there is to have another one without anybody's help; who has
 * some, as where etcd has lost what the fleet knew, keeps what it has promised them. Logs. */
void fleet_give_number_up(struct fleet *fleet, struct ipv4 bind);
