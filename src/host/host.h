/*
 * What a server needs of its host besides the tunnels: the bind addresses, forwarding, policy
 * rules, the firewall and a way through the firewalls of others. Made before the tunnels,
 * reconciled with what other programs do while the server runs, and restored at its end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ipv4.h"

struct confining;
struct egress_policy;
struct event_base;
struct host;
struct host_config;
struct host_endpoint;

/*
 * Copies the configuration. base runs the timers, and must stay until host_restore(). Logs what
 * goes wrong and what was changed. Returns 0 or -errno; *host is to be given to host_restore() in
 * either case, and may be NULL.
 */
int host_prepare(const struct host_config *config, struct event_base *base, struct host **host);

/* Whether new connections out of tunnels are refused, because too many are tracked (tracking.h).
 * host may be NULL. */
bool host_is_full(const struct host *host);

/* What firewall_digest() gave when the server's tables were loaded. NULL: there are none. */
const uint8_t *host_firewall(const struct host *host);

/*
 * Prepares the host for one more endpoint, of config->max_endpoints at the most, and takes back
 * what was made for one, whose tunnels are gone. What is there for others is not touched. The bind
 * address of one that is followed is left alone. Log. host_serve() returns 0 or -errno, and then
 * host_serve_no_more() is to be called too.
 */
int host_serve(struct host *host, const struct host_endpoint *endpoint);
void host_serve_no_more(struct host *host, struct ipv4 bind);

/* The address of an endpoint that host_serve() was called for before has come to this host now.
 * Returns 0 or -errno; -ENOENT: it was not. Logs. */
int host_arrive(struct host *host, struct ipv4 bind);

/* What tunnels may reach is another thing from now on, also for connections that there are. Logs.
 * Returns 0, or -errno and all is as before. */
int host_change_policy(struct host *host, const struct egress_policy *policy);

/*
 * Who has one of these inner addresses reaches other destinations from now on: as
 * firewall_confine(). To be called before its tunnel is made, and for everybody to whom an address
 * is given, as it may be that of one who was confined: that holds until then, for packets of it
 * that are still on their way. Returns 0 or -errno, logged.
 */
int host_confine(struct host *host, const struct confining *changes, size_t n);
/* Whether that is done in the table that is there, in a fraction of a millisecond, and not by
 * loading it anew. */
bool host_confines_in_place(const struct host *host, const struct confining *change);

/* What is kept of confined addresses that are nobody's any more is forgotten. */
typedef bool host_address_fn(void *context, struct ipv4 inner);
void host_confine_no_more(struct host *host, host_address_fn *is_unused, void *context);

/* The tunnels of the endpoint with this address stay after the server's end: so does, at
 * host_restore(), what was made for them. host may be NULL. */
void host_keep_endpoint(struct host *host, struct ipv4 bind);

/*
 * Restores what was changed for the other endpoints, and frees. started: false after a start that
 * failed, which undoes only what it did itself to the addresses. NULL is fine. Returns 0 or the
 * first error, logged.
 */
int host_restore(struct host *host, bool started);
