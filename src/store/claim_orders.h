/* Orders of the broker that are about whether an address is this host's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "ipc/storing.h"

struct database;
struct fleet;

bool claim_orders_is_claim(const struct storing_message *order);

/*
 * Does what those of these orders say that are claims and releases, and tells the broker what holds
 * of each address. What was promised of it before is written by now. fleet NULL: every claim
 * succeeds. Returns 0, or as broker_socket_tell().
 */
int claim_orders_answer(struct database *database, struct fleet *fleet,
	const struct storing_message *orders, size_t n);
