/*
 * In which order the addresses of a server's name are asked. Good is one that a tunnel has worked
 * to: that it answers requests does not say so, as what carries tunnels may be filtered on the way.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "client/request_message.h"

/* Zero: nothing is known. */
struct address_order {
	struct ipv4 last_good; /* 0.0.0.0: none */
	struct ipv4 failed[REQUEST_ADDRESSES_MAX]; /* since then, the oldest first */
	size_t n_failed;
};

/* The last good one, those that have not failed in the order of names, those that have failed from
 * the oldest on. Each once. */
void address_order_sort(const struct address_order *order, const struct request_names *names,
	struct request_names *sorted);

/* Nothing, or nothing of use, came from it. The last good one stays that: it may be restarted. */
void address_order_fail(struct address_order *order, struct ipv4 address);

/* A tunnel to it works. */
void address_order_prove(struct address_order *order, struct ipv4 address);

/* A tunnel to it, or a request that it took, came to nothing. Returns whether others are to be
 * asked before it: the last good one, from now on none, is worth another try. */
bool address_order_doubt(struct address_order *order, struct ipv4 address);
