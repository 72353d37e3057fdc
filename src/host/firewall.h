/*
 * The server's own firewall: one nftables table, "ip vprox", that holds NAT and everything a tunnel
 * must not be able to do, and "ip6 vprox", which keeps IPv6 out of the tunnels where the host has
 * it. Their text depends on the endpoints alone, never on the peers.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nftables/loaded_tables.h"

struct confining;
struct host_config;
struct host_endpoint;
struct netlink;
struct ruleset_chain;

enum {
	FIREWALL_DIGEST_SIZE = LOADED_TABLES_DIGEST_SIZE,
};

/* What the tables were when they were loaded, to see whether somebody has changed them since. */
struct firewall_state {
	struct loaded_tables tables;
	unsigned int n_calls; /* of firewall_reconcile() that found nothing */
	unsigned int next_set; /* of firewall_has_next_confined() */
	/* By which what addresses reach is changed; NULL: not yet needed. */
	struct netlink *netlink;
	uint64_t shape; /* of config->confinement, then */
	bool is_behind; /* what was to be changed could not be: it is loaded anew */
};

/* Whether this kernel has what drops packets of connections that are not here (nft_socket). Where
 * it has not, they are answered, as without us, which is logged. */
bool firewall_can_find_sockets(void);

/* Digests the two tables as they are now, but for what packets change. Returns 0 or -errno;
 * -ENOENT: they are not there. */
int firewall_digest(uint8_t digest[FIREWALL_DIGEST_SIZE]);

/* Loads the table, as a whole or not at all. Returns 0 or -errno, logged with nft's reason. */
int firewall_load(const struct host_config *config, struct firewall_state *state);

/*
 * Adds an endpoint that is in the configuration already, or takes one out that is in it no more,
 * and touches nothing of the others. Where another program has changed the tables, they are loaded
 * anew. Returns 0 or -errno, logged.
 */
int firewall_add(const struct host_config *config, const struct host_endpoint *endpoint,
	struct firewall_state *state);
int firewall_take_out(const struct host_config *config, const struct host_endpoint *endpoint,
	struct firewall_state *state);

/* Whether firewall_confine() brings these n changes to the table that is there, some 0.1 ms each,
 * and does not load it anew: it has the sets that they need. */
bool firewall_confines_in_place(
	const struct firewall_state *state, const struct confining *changes, size_t n);

/*
 * Brings n changes of what inner addresses reach into config->confinement and the table. When it
 * returns 0, they are in force, those of an address all at one moment. Else -errno, logged: they
 * may be in force or not, and are brought there by firewall_reconcile().
 */
int firewall_confine(const struct host_config *config, struct firewall_state *state,
	const struct confining *changes, size_t n);

/* The address of an endpoint that the tables have already has just come to this host: for a while
 * nothing is reset that may belong to a connection which comes with it. What goes wrong is logged.
 */
void firewall_say_arrived(const struct host_endpoint *endpoint);

/*
 * To be called every few seconds: loads the table again, with a warning, if another program has
 * removed it (`nft flush ruleset`) or changed anything in it, be it an element of a set. One
 * netlink message where nobody has changed any nftables table since the last call; once a minute
 * some more. Returns 0 or -errno, logged.
 */
int firewall_reconcile(const struct host_config *config, struct firewall_state *state);

/*
 * How many packets out of tunnels were refused for each of the n reasons, by the names of the
 * counters behind "refused_" in the tables. One that is not there counts 0. Returns 0 or -errno.
 */
int firewall_count_refused(const char *const *reasons, uint64_t *counts, size_t n);

/* Whether the chain is another program's, and of a family that ruleset_family_name() knows. */
bool firewall_is_foreign(const struct ruleset_chain *chain);

/* Removes the table; it is no error if it is not there. Returns 0 or -errno, logged. */
int firewall_remove(void);

/* The same, and logs it. dry_run: only logs it. Returns whether it was there (1 or 0),
 * or -errno, logged. */
int firewall_clear(bool dry_run);
