/*
 * The store of a host of a fleet: what is promised is in etcd, where the other hosts find it, and
 * the local file is a copy of that, with what etcd does not have yet. So a host starts, and goes
 * on, without etcd, and catches up.
 *
 * An address has one holder, who claims it with a new epoch. Each transaction compares the holder's
 * record: a host whose epoch was superseded changes nothing any more.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/fleet_state.h"

/* The local copy, which stays the store's. Close it before the database is, open it again after.
 * Returns 0 or -EIO; why is in database_error(). */
int fleet_open_copy(struct fleet *fleet, struct database *database);
void fleet_close_copy(struct fleet *fleet);

/*
 * At the start, when the local copy is open: claims the addresses that this host serves, and brings
 * the copy up to date. Returns 0, also where etcd cannot be reached, which is logged: then that is
 * made up for later. -EEXIST: an endpoint collides with another host's, which the broker was told.
 * -EPIPE: the broker has hung up.
 */
int fleet_join(struct fleet *fleet);

/* Claims an address that this host has just got, as fleet_join() does. Returns 0, also where it
 * collides or etcd cannot be reached, or -EPIPE. */
int fleet_claim(struct fleet *fleet, struct ipv4 bind);
/* Likewise, but only if the host that has claimed it before does not say for a while that it still
 * serves it. To be called every few seconds; *is_ours is false until then. */
int fleet_claim_if_left(struct fleet *fleet, struct ipv4 bind, bool *is_ours);
/* Whether the broker knows all that is promised there, as the address was followed before. */
bool fleet_is_told(struct fleet *fleet, struct ipv4 bind);
/* This host has the address no more: what is unsent is sent as long as nobody else claims it. */
void fleet_release(struct fleet *fleet, struct ipv4 bind);

/* Before orders are written to the local copy: what they say of endpoints is compared with what the
 * fleet has. */
void fleet_prepare(struct fleet *fleet, struct storing_message *orders, size_t n);

/*
 * Sends what etcd does not have yet, as much as one transaction takes for each address, and claims
 * what is not claimed. written: the broker's last order that is in the copy. Returns 0, or -errno
 * if it is to be called again later: why is logged once. *is_stored: all that has changed by now is
 * in etcd; *more: there is something left to be sent.
 */
int fleet_send(struct fleet *fleet, uint64_t written, bool *is_stored, bool *more);

/* What is to be shown of it. */
const struct stored_state *fleet_health(const struct fleet *fleet);
