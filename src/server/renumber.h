/* Endpoints that collide with what other hosts of the fleet have are given up. */
#pragma once

#include <stdbool.h>

/*
 * Gives up the numbers of the endpoints that have kept the last server of this host from starting,
 * with their tunnels and all that was promised there: the next server gives them others. Logs each;
 * dry_run: changes nothing. Returns 0, also where there are none, -EWOULDBLOCK if a server runs, or
 * the first -errno.
 */
int renumber_host(bool dry_run);
