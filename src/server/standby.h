/*
 * Standby: an endpoint of an address that another host of the fleet serves, and that this host may
 * get. Its device and its peers are made beforehand, as the store tells of them; its interfaces are
 * down, so that nothing is sent or answered. When the address comes they are set up, and the device
 * shakes hands.
 */
#pragma once

#include <stdbool.h>

struct endpoint;
struct event_base;
struct promised;

/* Makes the device and the tables of a described endpoint. Logs. Returns 0 or -errno, and then all
 * is as before. */
int standby_open(struct endpoint *endpoint, struct event_base *base);

/*
 * The peers become those that are promised, which are taken out of `promised`: is_all: all of these
 * are told; else what has changed. It is done some at a time (standby_round.h), so that the server
 * does meanwhile what it is asked. Logs.
 */
void standby_update(struct endpoint *endpoint, struct promised *promised, bool is_all);

/*
 * The address is this host's: what is not made yet is made, the interfaces are set up, and the
 * device shakes hands, with those that were active last first. From now on it is open. Logs. A
 * device that is lost meanwhile is healed.
 */
void standby_take_over(
	struct endpoint *endpoint, const struct promised *promised, struct event_base *base);
