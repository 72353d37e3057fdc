/*
 * An endpoint: one bind address, its block of inner addresses, its device in the data plane and the
 * peers that have a tunnel through it.
 *
 * The life of a peer. It begins in requests.c, with the first /connect that finds no such peer, or
 * in adoption.c, with what an earlier server has left. From then on it holds its address, which the
 * pool gives to nobody else, until it is freed; and it is freed in two places only: in removals.c,
 * when the data plane has confirmed that its tunnel is gone, and in requests.c, when one that has
 * vanished could not be made again and is certainly not there. One that could not be made in the
 * first place is queued for removal as any other. Its address is then released, and given to nobody
 * before flow_purge.c has ended what was left of its connections. A device that is lost and made
 * again (heal.c) is no end: its peers stay, and are given back to it. Whoever wants a peer gone, an
 * idle one or one that asks for it, queues it with removals_add(); a /connect that comes before its
 * turn takes it out of the queue again.
 */
#pragma once

#include <stdbool.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/log_limit.h"
#include "ipc/message.h"
#include "ipc/report.h"
#include "plane/plane.h"
#include "server/peers.h"
#include "server/pool.h"

struct audit;
struct event;
struct flow_purge;
struct held_answers;
struct name_file;
struct name_rules;
struct owner_feed;
struct promised;
struct store_link;
struct told_address;

enum {
	REPLY_TO_OPERATOR = ~0U, /* no gate: an order of disconnections.c */
};

/* Whom an answer goes to: one request of one life of one gate. */
struct reply_to {
	unsigned int gate;
	uint64_t generation; /* of the gate: a replaced one's requests have nobody to answer */
	uint64_t id;
};

/* What a client asks for. That it has asked, from where and by which of our addresses, is from the
 * kernel and not from the gate. */
struct client_request {
	enum ipc_operation operation;
	struct ipv4 bind; /* the address that the client has come to */
	struct ipv4 source; /* the client's outer address */
	uint16_t source_port; /* of its request, TCP */
	struct key key; /* the peer, where the operation is about a WireGuard one; else the client's
			   id, or zero */
	struct client_name name; /* as the gate has found out */
};

/* The address matters with IPC_OK to a connect only. */
typedef void endpoint_answer_fn(
	void *context, const struct reply_to *to, enum ipc_status status, struct ipv4 address);

/* error: 0, -ENODEV if the device is lost, -ECANCELED if it was given up, or what the plane says.
 */
typedef void usage_done_fn(void *context, int error);

/* Who waits for a reading of what peers have used (usage.h); the caller's, zeroed before the first
 * time. */
struct usage_waiter {
	usage_done_fn *done;
	void *context;
	uint64_t asked; /* its place among all that have asked; 0: it does not wait */
	TAILQ_ENTRY(usage_waiter) entry;
};

/* The reading that is under way; usage.c's. */
struct usage_reader {
	struct event_base *base; /* NULL in a test: each reading is made at once */
	struct plane_reading *reading; /* NULL: none is under way */
	struct event *readable; /* its next piece, by its descriptor, ... */
	int fd; /* ... this one */
	uint64_t began_ms, began_us;
	uint64_t n_asked;
	TAILQ_HEAD(, usage_waiter) waiters;
	struct usage_waiter refresh; /* of usage_refresh() */
};

/* Peers that wait for their removal; removals.c's. */
struct removals {
	struct endpoint *endpoint;
	TAILQ_HEAD(, removal) queue;
	struct usage_waiter waiter; /* for what they have used, which the audit is told */
	struct event *timer; /* NULL in a test */
};

/* Requests that wait for an address; pending_connects.c's. */
struct pending_connects {
	struct endpoint *endpoint;
	TAILQ_HEAD(, pending_connect) queue; /* the first one came first */
	size_t n;
	struct event *timer; /* NULL in a test */
};

/* Requests that wait for a reading; parked_requests.c's. */
struct parked_requests {
	struct endpoint *endpoint;
	TAILQ_HEAD(, parked_request) queue; /* the first one came first */
	struct usage_waiter waiter;
};

/* The reading of where new peers are; newcomers.c's. */
struct newcomers {
	struct endpoint *endpoint;
	struct usage_waiter waiter;
	struct event *timer; /* NULL in a test */
	uint64_t delay_ms; /* of the next reading */
	uint64_t due_ms; /* when that is, if the timer is running */
};

/* May queue the peer for removal, but removes none. */
typedef void peer_visit_fn(void *context, struct peer *peer);
/* All are visited, or the endpoint has closed. The walk may be freed here. */
typedef void peer_walk_done_fn(void *context);

/* A walk over the peers of an endpoint; peer_walk.c's. */
struct peer_walk {
	peer_visit_fn *visit;
	peer_walk_done_fn *done;
	void *context;
	struct endpoint *endpoint; /* NULL: none is under way */
	LIST_ENTRY(peer_walk) entry; /* of the endpoint's */
	struct hash_walk at;
	struct event *timer; /* of the next slice; NULL in a test */
};

/* The inspection that is under way; inspection.c's. */
struct inspection {
	struct endpoint *endpoint;
	const struct idle_rule *rule;
	struct usage_waiter waiter;
	struct event *timer; /* of putting right what others have changed; NULL in a test */
	uint32_t reading; /* number of the one that it is about, ... */
	uint64_t read_ms; /* ... and when that began: of what came later it tells nothing */
	struct peer_walk walk;
	bool runs, is_asked_again;
};

/* Peers that are made one after the other, and what has come of it. */
struct owed_round {
	struct endpoint *endpoint;
	size_t n_given, n_failed;
};

/* Making the peers that are owed; owed.c's. */
struct owed {
	struct owed_round round; /* that is under way */
	struct event *timer; /* of the next batch; NULL in a test */
	struct hash_walk at; /* which are looked for; when that is over they are made */
	struct owed_peer *peers; /* those that are left, a heap */
	size_t n;
};

/* What another host has told, and is made ready; standby_round.c's. */
struct standby_round {
	struct endpoint *endpoint;
	struct event *timer; /* of the next slice; NULL in a test */
	int step; /* enum standby_step */
	struct promised *told; /* NULL: none is under way */
	size_t next; /* of what a step goes through, ... */
	struct hash_walk at; /* ... or of the table of peers */
	struct told_address *addresses; /* where what has changed was told, in their order */
	size_t n_addresses;
	struct plane_peer *gone;
	size_t n_gone;
};

/* Timestamps of handshakes; handshake_floor.c's. */
struct handshake_floor {
	struct endpoint *endpoint;
	struct event *timer; /* NULL in a test, and without a store */
	uint64_t promised_s; /* s since 1970: what an earlier server has told the store */
	uint64_t reserved_s; /* likewise: what the store was told, also by an earlier server */
	uint64_t timestamp_ns; /* ns since 1970: the device's, as last read; 0: not yet */
	uint64_t read_ms; /* when */
	uint64_t behind_s; /* the clock, behind what was used; 0: it is not */
};

/*
 * How far an endpoint is. That its data plane is open, and that it is served (it has a listener,
 * and requests are answered), are two things: the first can be so without the second.
 */
enum endpoint_state {
	ENDPOINT_DESCRIBED, /* its numbers are known; nothing was made */
	ENDPOINT_OPEN, /* it has its tables and its device, though that may be lost for a moment */
	/* Another host serves it: its tables, device and peers are there, and its interfaces are
	 * down. Nothing is promised, inspected or answered. */
	ENDPOINT_STANDBY,
	ENDPOINT_AT_REST, /* it has its tables; its device and peers are gone until it is woken */
};

struct endpoint {
	TAILQ_ENTRY(endpoint) entry;
	struct plane_endpoint config;
	enum endpoint_state state;
	bool adopts; /* what an earlier server has left under its index is its own */
	bool is_served;
	struct key public_key;
	uint32_t max_peers_per_source; /* once the pool is nearly used up; 0: half of it */
	bool keep; /* was relinquished: stays when the server goes */

	struct plane *plane;
	struct plane_device *device; /* NULL: not open, or lost and not made again yet */
	struct pool *pool;
	struct peers peers;
	struct removals removals;
	struct pending_connects pending;
	struct flow_purge *flow_purge; /* of all endpoints, the broker's; NULL in a test */
	struct usage_reader usage;
	struct parked_requests parked;
	struct inspection inspection;
	struct newcomers newcomers;
	LIST_HEAD(, peer_walk) walks; /* over its peers that are under way; peer_walk.c's */
	struct peer_walk name_walk; /* for peers whose name has gone; name_rules.c's */
	struct handshake_floor floor;
	struct owed owed;
	struct standby_round standby;

	struct source_log_limit refusals; /* by the source of the request */

	uint32_t reading; /* number of the last reading of the plane */
	uint64_t read_ms; /* when the last one that succeeded began; adoption is the first */
	uint64_t read_took_ms;
	uint64_t received, sent; /* bytes that readings have seen move, of peers that are gone too
				  */

	uint64_t counts[REPORT_N_COUNTS]; /* what has happened since the server's start */
	struct histogram *operations; /* REPORT_N_OPERATIONS, of all endpoints; NULL in a test */

	struct store_link *store; /* of all endpoints, the broker's; NULL: nothing is stored */
	struct audit *audit; /* likewise; NULL: there is none */
	struct owner_feed *owner_feed; /* likewise; NULL: there is no flow log */
	struct held_answers *held; /* likewise: answers that wait for it */

	struct name_file *name_file; /* likewise; NULL: a store keeps the names, or nobody */
	const struct name_rules *name_rules; /* likewise; NULL in a test: every name is good */

	const struct clock *clock;
	endpoint_answer_fn *answer;
	void *answer_context;
};

/* In the order in which they came to be known. */
TAILQ_HEAD(endpoint_list, endpoint);

/* "endpoint <bind address>", for the log. */
struct endpoint_text {
	char s[sizeof "endpoint " + sizeof(struct ipv4_text)];
};
struct endpoint_text endpoint_text(const struct endpoint *endpoint);

/* How many peers all endpoints have together; of one that is only described nothing is there. */
size_t endpoints_count_peers(const struct endpoint_list *endpoints);

/* An operation of the data plane is over that began then, by clock_stopwatch_us(). */
void endpoint_record_time(
	const struct endpoint *endpoint, enum report_operation operation, uint64_t began_us);

/* Whether so many addresses are used that what is left is for those who have few peers, and how
 * many peers one source or one name may have then. */
bool endpoint_is_nearly_used_up(const struct endpoint *endpoint);
uint32_t endpoint_share(const struct endpoint *endpoint);

/* Whether a line about a refused request of this source may be written now: log_limit.h. */
bool endpoint_may_log(struct endpoint *endpoint, struct ipv4 source, struct log_limit_text *more);
