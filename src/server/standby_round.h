/*
 * Makes ready what another host has told of the peers at an address that it serves: all there are,
 * or what has changed. With 50,000 peers that takes a tenth of a second, and this host has clients
 * of its own at other addresses: it is done some at a time.
 */
#pragma once

#include <stdbool.h>

#include "server/endpoint.h"

struct event_base;
struct promised;

/* Of an endpoint that opens. base: NULL in a test, where a round is over when it has begun. Returns
 * 0 or -ENOMEM. */
int standby_round_init(
	struct standby_round *round, struct endpoint *endpoint, struct event_base *base);
/* One that is under way ends where it is. Zeroed is fine. */
void standby_round_free(struct standby_round *round);

/*
 * Takes what was told of the endpoint out of `promised`. is_all: who is not among it is gone. What
 * was told before and is not made ready yet is so when this returns. In the end the peers that are
 * new are made (owed.h). Logs.
 */
void standby_round_begin(struct standby_round *round, struct promised *promised, bool is_all);
/* One that is under way is over when this returns: the address has come. */
void standby_round_finish(struct standby_round *round);
