/*
 * Other programs' firewalls whose forward chain drops what it does not accept (Docker, ufw,
 * firewalld): an accept in the server's own table does not override that. A chain VPROX in the
 * foreign table accepts what comes from and goes to tunnels. It is jumped to where the forward
 * chain drops what nobody has decided (ruleset_place.h), so that it passes by no rule of others'
 * that drops; everything that keeps tunnels apart is in the server's own table.
 *
 * What goes wrong here is logged, once for each chain, and not fatal.
 */
#pragma once

#include <stdbool.h>

struct event_base;
struct foreign_firewall;
struct host_config;

/* NULL when there is no memory. The configuration must stay valid. base: as for
 * legacy_firewall_new(). */
struct foreign_firewall *foreign_firewall_new(
	struct event_base *base, const struct host_config *config);

/*
 * To be called at start, and again every few seconds because other programs flush and change their
 * tables. VPROX is written anew where its rules, or the jumps to it, are others. Where nothing has
 * changed, a call costs one netlink message, and a copy of the filter table of iptables-legacy if
 * there is one; it starts the programs of iptables-legacy only where that has changed, and does not
 * wait for them but in the first call.
 */
void foreign_firewall_reconcile(struct foreign_firewall *foreign);

/* The configuration has other endpoints now: the next call reads all tables. */
void foreign_firewall_endpoints_changed(struct foreign_firewall *foreign);

/* The rules of iptables-legacy as iptables-save prints them; NULL: none, or not known just now. */
const char *foreign_firewall_legacy(const struct foreign_firewall *foreign);

/* Waits for what is under way: from then on the configuration may be changed, and iptables-legacy
 * is not reconciled any more. */
void foreign_firewall_settle(struct foreign_firewall *foreign);

/* Removes VPROX from all tables, unless the tunnels are kept; frees. NULL is fine. */
void foreign_firewall_free(struct foreign_firewall *foreign, bool keep);

/* Removes VPROX and the jumps to it from all tables, whichever server wrote them; logs each table.
 * dry_run: only logs them. Returns the number of tables, or the first -errno. */
int foreign_firewall_remove(bool dry_run);
