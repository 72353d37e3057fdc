/*
 * An endpoint begins to be served while the server runs, and ceases to be: the host, its data
 * plane, its listener and the gates, in an order in which no client is given what is not there. The
 * others go on meanwhile.
 */
#pragma once

#include <stdbool.h>

#include "base/ipv4.h"

struct data_plane;
struct frontend;
struct host;

/* The parts, which are the caller's. */
struct serving {
	struct data_plane *data_plane;
	struct host *host;
	struct frontend *frontend;
};

/* Logs. Returns 0, also where it is served already; -ENOSPC if there is no block left for the
 * address; or another -errno, and then all is as before. */
int serving_begin(const struct serving *serving, struct ipv4 bind);

/*
 * What another host of the fleet promises at this address was told: standbys_update(), and the
 * host is made ready too. Returns as that.
 */
bool serving_stand_by(const struct serving *serving, struct ipv4 bind, bool is_all, bool may_open);
/* Nothing that is known of an address that is not served counts any more: data_plane_forget(). */
void serving_forget(const struct serving *serving, struct ipv4 bind);

/* Its peers keep their addresses. Logs. One that is not served is fine. */
void serving_end(const struct serving *serving, struct ipv4 bind);
