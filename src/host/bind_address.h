/*
 * The bind addresses on the host's interfaces. Where no interface has one it is added to that of
 * the default route, with a lifetime, so that a host that lost it stops using it; renewed while the
 * server runs, made permanent when the tunnels stay without it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/ipv4.h"

struct address;
struct netlink;

enum {
	BIND_ADDRESS_LIFETIME_S = 60,
};

/* One of --ip. */
struct bind_address {
	struct ipv4 address;
	/* What was there before the first reconcile(), for a start that fails: */
	bool is_added; /* nobody had the address */
	bool was_kept; /* an earlier server had kept it without end */
	bool is_reconciled; /* at least once */
	bool is_failing; /* for the log: one line when it begins, one when it is over */
};

/*
 * To be called at start and every 15 s: adds the address, or renews it where it is ours. Its
 * netlink is of NETLINK_ROUTE. Returns 0 or -errno, logged once while it lasts; -ENETUNREACH if
 * there is neither the address nor a default route.
 */
int bind_address_reconcile(struct netlink *netlink, struct bind_address *bind);

/* After a start that failed: removes the address that the first reconcile() added, and keeps again
 * the one that it found kept. Returns 0 or -errno, logged. */
int bind_address_undo(struct netlink *netlink, struct bind_address *bind);

/* At a stop: keeps ours without end, for the next server; removes ours. Another's
 * address is left alone. Return 0 or -errno, logged. */
int bind_address_keep(struct netlink *netlink, struct bind_address *bind);
int bind_address_remove(struct netlink *netlink, struct bind_address *bind);

/*
 * Removes every address that a server has added, whichever it was: those with our mark, and of the
 * given ones also those that are ours without it. Logs each. dry_run: only logs them.
 * Returns how many there were, or the first -errno, logged.
 */
int bind_addresses_clear(
	struct netlink *netlink, const struct ipv4 *binds, size_t n_binds, bool dry_run);

/* Whether the address was added by this server or one before it, a Go server among them: a /32 that
 * has our mark, or only a short time to live, or was kept by a server on a kernel without marks. */
bool bind_address_is_ours(const struct address *address);
