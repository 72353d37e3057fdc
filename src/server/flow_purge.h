/*
 * Between the holders of an inner address: nobody is given it before the connections that the
 * kernel tracks for the former holder are deleted. Else the next one would receive what still comes
 * for the former one, and could send into its connections.
 *
 * The order is: the data plane has confirmed that the peer is gone; nothing that was on its way
 * through the host then is so any more; the entries are deleted, those of all addresses that were
 * released meanwhile in one pass; only then is the address in the pool again. At the start all
 * addresses that nobody holds are looked through, since an earlier server may have died in between.
 *
 * Where that is not possible (no connection tracking to be talked to, no right to it), an address
 * rests for some time instead, and one line in the log says so.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ipv4.h"
#include "netlink/conntrack.h"

struct address_set;
struct clock;
struct endpoint;
struct endpoint_list;
struct event_base;
struct flow_purge;

/* As conntrack_delete(). */
typedef int flow_delete_fn(
	conntrack_match_fn *match, void *context, struct conntrack_result *result);

/* In ms. */
struct flow_purge_times {
	/* After the last release of several, unless somebody waits for an address; at most
	 * gather_most after the first. */
	uint64_t gather, gather_most;
	uint64_t settle; /* for packets that are on their way through the host */
	uint64_t retry_soon; /* a pass that failed, some times */
	uint64_t retry; /* after that */
	uint64_t rest; /* of an address whose connections cannot be deleted, since its purge began
			*/
};

extern const struct flow_purge_times flow_purge_times;

struct flow_purge_config {
	struct prefix block; /* that all endpoints' blocks lie in */
	struct endpoint_list *endpoints; /* those that have tables when a purge begins */
	flow_delete_fn *delete; /* called in a thread of its own */
	/* These were nobody's at its begin, and nothing of them is on its way any more. May be
	 * NULL. */
	void (*unused)(void *context, const struct address_set *addresses);
	/* Addresses of this endpoint can be given out that could not before. */
	void (*freed)(void *context, struct endpoint *endpoint);
	void *context;
	const struct clock *clock;
	const struct flow_purge_times *times;
};

/* Begins with the addresses that nobody holds. Returns 0 or a negative
 * errno. */
int flow_purge_new(
	struct event_base *base, const struct flow_purge_config *config, struct flow_purge **purge);

/* Waits for a pass that is under way. NULL is fine. */
void flow_purge_free(struct flow_purge *purge);

/* An endpoint was opened while the server runs: nobody is given an address of it before a purge has
 * looked through those that nobody holds. */
void flow_purge_opened(struct flow_purge *purge, struct endpoint *endpoint);

/* An address was released to its pool. NULL is fine. */
void flow_purge_released(struct flow_purge *purge);

/* False while connections cannot be deleted, so that released addresses rest. NULL is fine: true.
 */
bool flow_purge_works(const struct flow_purge *purge);

/* Somebody waits for an address. NULL is fine. */
void flow_purge_hurry(struct flow_purge *purge);
