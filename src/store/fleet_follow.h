/*
 * What other hosts promise at addresses that this one may get: it is brought into the copy, and the
 * broker is told, which makes it ready. So a claim has to read only what has changed last.
 */
#pragma once

#include <stdbool.h>

#include "store/fleet_state.h"

/* Every few seconds; in between it does nothing. Returns 0, as etcd_ask() or database_write(), or
 * -EPIPE. */
int fleet_follow(struct fleet *fleet);

/* Tells what the copy has of one address. Returns as database_load_one(). */
int fleet_tell_all(const struct fleet *fleet, struct ipv4 bind);

/* The broker does not know what was told of this address, or is to forget it. */
void fleet_follow_anew(struct fleet *fleet, struct ipv4 bind);
/* Whether what the copy has of an address that was followed is newer than what etcd has, which was
 * put back. */
bool fleet_follow_is_put_back(const struct fleet *fleet, const struct seen_address *seen);
/* Whether the broker was told what the copy has of it. */
bool fleet_is_followed(const struct fleet *fleet, struct ipv4 bind);

/* Of an address that is ours since: brings what has changed last into the copy, and tells it.
 * Returns 1; 0: it is not followed, or not with this floor, and nothing was done; or as
 * fleet_follow(). */
int fleet_follow_rest(struct fleet *fleet, const struct served *served);
