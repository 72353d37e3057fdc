/* What etcd does not have yet of the addresses that this host holds: peers, activity, endpoints,
 * and the floor of each, which is raised when all is sealed anew. */
#pragma once

#include <stdbool.h>

struct fleet;

/*
 * Sends as much as one transaction takes for each address. One that another host has claimed since
 * is superseded; one whose record was changed by no host is to be claimed again. *is_stored becomes
 * false if something that has changed is not in etcd; *more true if there is something left.
 * Returns 0, as etcd_ask(), -EIO of the copy, or -EPIPE.
 */
int fleet_send_changes(struct fleet *fleet, bool *is_stored, bool *more);
