/*
 * Which endpoints this host is standby for (standby.h): those that the hosts of a fleet have told
 * of, and that can be made here with the number and the key that are promised there.
 */
#pragma once

#include <stdbool.h>

#include "base/ipv4.h"

struct data_plane;

/*
 * What another host promises at this address was told, all of it or what has changed: where this
 * host is standby for it that is made, too; may_open: else it becomes so. Logs. Returns whether it
 * is not served here, so that what was told counts no more.
 */
bool standbys_update(struct data_plane *data_plane, struct ipv4 bind, bool is_all, bool may_open);

/* Whether this host is standby for this address. */
bool standbys_is_ready(const struct data_plane *data_plane, struct ipv4 bind);
