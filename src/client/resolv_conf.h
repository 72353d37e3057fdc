/*
 * resolv.conf(5) of this host: read, and for a time one of our own put in its place. The one before
 * lies beside it meanwhile, so that it can be put back after a kill or a reboot too; each step is
 * one link(2) or rename(2).
 */
#pragma once

#include <stdbool.h>

#include "base/ipv4.h"
#include "base/resolvers.h"

#define RESOLV_CONF "/etc/resolv.conf"

/* The name servers in it that have IPv4 addresses, the loopback's too. Returns how many, at most
 * RESOLVERS_MAX; 0 if there is no such file. */
unsigned int resolv_conf_read(struct ipv4 addresses[RESOLVERS_MAX]);

/* Whether it has programs ask systemd-resolved. */
bool resolv_conf_asks_resolved(void);

/*
 * The file that says whom this host asks: not the one that a client of ours has put, but the one
 * before; and not systemd-resolved's stub, but what that itself asks. Lives as long as the program;
 * there may be no such file.
 */
const char *resolv_conf_upstream(void);

/* Whether such a file names a name server, of whatever kind. */
bool resolv_conf_has_server(const char *path);

/* Puts one with these name servers in place, for the client of that interface; what is said of
 * search lists and options stays. Returns 0; -EBUSY if another client's is there, or it is a mount
 * of its own; -EROFS or another negative errno. */
int resolv_conf_put(const char *interface, const struct resolvers *resolvers);

/* Whether it is still there. */
bool resolv_conf_is_put(const char *interface);

/*
 * Puts back the one before, if ours is there and the client that has put it does not run any more,
 * or is the one of this interface (NULL: of none). One that somebody else has written meanwhile
 * stays. Returns 1 if something was put back, 0 if there was nothing to do, or -errno. dry_run:
 * only says so.
 */
int resolv_conf_take_back(const char *interface, bool dry_run);
