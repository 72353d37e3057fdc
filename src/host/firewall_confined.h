/*
 * What the table "ip vprox" has of addresses that reach some destinations alone: a set of these
 * addresses, and for each length of prefix that is used one of pairs of address and destination, so
 * that a change of one address is one of some elements, and a packet takes a look-up a length.
 */
#pragma once

#include <stddef.h>
#include <stdio.h>

#include "base/ipv4.h"

struct confinement;
struct host_config;
struct netlink;

/* From now on this address reaches these n destinations alone; to is NULL: what all do. */
struct confining {
	struct ipv4 inner;
	const struct prefix *to;
	size_t n;
};

/*
 * Writes, with all elements, the sets, and two chains for the others to jump to, which return for
 * what is allowed and drop all else:
 *   confined_to     of a packet of such an address, wherever it goes
 *   confined_from   of a packet to such an address
 * Nothing where no address is or was confined.
 */
void firewall_write_confined(FILE *out, const struct host_config *config);

/* A rule that has packets of such an address go on there, by "jump" or "goto", if its match, which
 * may be "", is true too; likewise of packets to it. */
void firewall_write_confined_to(
	FILE *out, const struct host_config *config, const char *match, const char *verb);
void firewall_write_confined_from(FILE *out, const struct host_config *config, const char *match);

/*
 * Brings changes to a table that is as confinement says, and has its shape: confinement is as they
 * are after it. Those that change nothing are left out. Returns 0 and how many transactions there
 * were, by a socket of NETLINK_NETFILTER; or -errno, and then confinement has a part of them, and
 * the table perhaps a smaller one.
 */
int firewall_change_confined(struct netlink *netlink, struct confinement *confinement,
	const struct confining *changes, size_t n);

/* Reads what the table holds into a confinement that is empty. Returns 0, also where there is no
 * table or it has nothing of this; or -errno. */
int firewall_read_confined(struct confinement *confinement);

/* Whether the table's sets hold what they should: some 30 ms for 10,000 addresses of four pairs. */
bool firewall_has_confined(const struct confinement *confinement);
/* Likewise the next one of the sets, one each call; *next is zeroed before the first one. */
bool firewall_has_next_confined(const struct confinement *confinement, unsigned int *next);
