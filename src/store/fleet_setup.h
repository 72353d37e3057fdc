/* Begins and ends the part of the store that speaks with etcd. */
#pragma once

#include "store/fleet_state.h"

struct store_config;

/*
 * Reads the fleet's key, certificates and the password, and resolves names: before the process is
 * confined. `owner` is the broker's socket. Returns 0 or -errno, which is logged; -EPIPE, which is
 * not: the owner has hung up.
 */
int fleet_new(
	const struct store_config *config, int owner, fleet_tell_fn *tell, struct fleet **fleet);
/* NULL is fine. */
void fleet_free(struct fleet *fleet);
