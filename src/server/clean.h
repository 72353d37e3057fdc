/* Taking away what an earlier server left on this host. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/ipv4.h"

/*
 * Removes the interfaces of both data planes with all their tunnels, the addresses, policy rules
 * and firewall rules, and the sockets nobody listens on: with what the server itself clears up
 * with. Keys stay. Logs each thing. dry_run: logs what there is, and removes nothing.
 *
 * Returns how many things there were, -EWOULDBLOCK if a server runs (then nothing is done), or the
 * first -errno; it goes on after one.
 */
int clean_host(bool dry_run);

/* Removes the interfaces of endpoints of these addresses with their tunnels, and nothing else; the
 * server's lock is the caller's. Returns 0 or the first -errno, which is logged. */
int clean_tunnels(const struct ipv4 *binds, size_t n, bool dry_run);
