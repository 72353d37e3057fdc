/*
 * What the broker tells of the server: to `vprox show` and `vprox check` over the control socket,
 * as below; to the process that serves metrics in a file in memory (ipc/metrics_process.h).
 *
 * What goes between `vprox show` or `vprox check` and the broker over the control socket, a stream.
 * A connection is one question and its answer:
 *
 *   a struct report_request
 *   a struct report_header, n_gates and n_signers struct report_process, n_others struct
 *   report_other, n_endpoints struct report_endpoint; with REPORT_ALL any number of pieces, each a
 *   struct report_piece, n_names struct client_name, n_peers struct report_peer, and the last one
 *   without any; end of the stream
 *
 * Both ends are on one machine, so integers are in its byte order; they may be of different
 * releases, which the version shows. Times are spans up to the moment of the answer, so that no
 * clock needs to be shared, but for a handshake's, which is the data plane's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/device_drops.h"
#include "base/histogram.h"
#include "base/ipv4.h"
#include "base/key.h"
#include "ipc/client_name.h"
#include "ipc/gate_counts.h"

#define REPORT_SOCKET "/run/vprox/control.sock"

enum {
	REPORT_VERSION = 11,
	REPORT_TEXT_SIZE = 64, /* with the final NUL */
	REPORT_NAME_SIZE = 16,
	REPORT_DIGEST_SIZE = 64,
	REPORT_MAX_ENDPOINTS = 1024,
	REPORT_MAX_GATES = 256,
	REPORT_MAX_OTHERS = 64,
	REPORT_MAX_PEERS = 16 << 20,
};

enum report_extent {
	REPORT_ALL,
	/* Without the peers, which costs the server nothing for each of them: the traffic is as the
	 * last inspection has seen it (--reap-interval). */
	REPORT_SUMS,
	REPORT_DISCONNECT, /* no report: an order follows, ipc/disconnecting.h */
};

struct report_request {
	uint32_t version;
	uint32_t extent; /* enum report_extent */
};

/* Why the firewall has refused a packet: out of a tunnel, but for the last three, some of whose
 * come from outside. */
enum report_refusal {
	REPORT_REFUSED_DESTINATION, /* closed to tunnels */
	REPORT_REFUSED_HOST, /* a service of the host's */
	REPORT_REFUSED_PROTOCOL,
	REPORT_REFUSED_ERROR, /* an ICMP error about somebody else's connection */
	REPORT_REFUSED_RATE, /* too many new connections a second */
	REPORT_REFUSED_FLOWS, /* too many connections */
	REPORT_REFUSED_FULL, /* too many connections of all tunnels and the host */
	REPORT_REFUSED_IPV6,
	REPORT_REFUSED_SPOOFED, /* its source is not its sender's */
	REPORT_REFUSED_PEERS, /* to another client */
	REPORT_REFUSED_UNASKED, /* into a tunnel that has not asked for it */
	REPORT_REFUSED_UNKNOWN, /* to the host, of a connection that nobody here knows */
	REPORT_N_REFUSALS,
};

/* What the reasons are called: "destination", "host" and so on. */
extern const char *const report_refusal_names[REPORT_N_REFUSALS];

/* What the counts of an endpoint are families of; in the words of metrics/exposition.c. */
enum report_family {
	REPORT_GRANTS, /* by kind: new, again */
	REPORT_ADOPTED,
	REPORT_ORPHANS,
	REPORT_RESTORED, /* by from: store, memory */
	REPORT_MOVED,
	REPORT_REMOVALS, /* by reason */
	REPORT_DEVICES_LOST,
	REPORT_N_FAMILIES,
};

/*
 * What has happened at an endpoint since the server's start: a name here, its family, and its label
 * there ("" where it is the only one). To add one, add a line here, and count with
 * endpoint->counts[REPORT_COUNTED_NAME]++.
 */
#define REPORT_COUNTS(COUNT)                                                                       \
	COUNT(GRANTED, GRANTS, "new")                                                              \
	COUNT(GRANTED_AGAIN, GRANTS, "again")                                                      \
	COUNT(ADOPTED, ADOPTED, "")                                                                \
	COUNT(ORPHAN, ORPHANS, "")                                                                 \
	COUNT(RESTORED, RESTORED, "store")                                                         \
	COUNT(GIVEN_BACK, RESTORED, "memory")                                                      \
	COUNT(MOVED, MOVED, "")                                                                    \
	COUNT(REMOVED_ASKED, REMOVALS, "asked")                                                    \
	COUNT(REMOVED_IDLE, REMOVALS, "idle")                                                      \
	COUNT(REMOVED_VANISHED, REMOVALS, "vanished")                                              \
	COUNT(REMOVED_UNMADE, REMOVALS, "unmade")                                                  \
	COUNT(REMOVED_TOKEN, REMOVALS, "token")                                                    \
	COUNT(REMOVED_OPERATOR, REMOVALS, "operator")                                              \
	COUNT(DEVICE_LOST, DEVICES_LOST, "")

#define REPORT_COUNT_OF(name, family, label) REPORT_COUNTED_##name,
enum report_count {
	REPORT_COUNTS(REPORT_COUNT_OF) /* none: */
	REPORT_N_COUNTS,
};
#undef REPORT_COUNT_OF

/* What the broker asks of the data plane, and waits for. */
enum report_operation {
	REPORT_OF_ADD, /* one peer is written */
	REPORT_OF_ADD_MANY, /* those that a device has lost are given back: some 50 at a time */
	REPORT_OF_REMOVE, /* a batch */
	REPORT_OF_READ, /* of what all peers of an endpoint have used */
	REPORT_N_OPERATIONS,
};

/* None of these has padding, which would carry what lay in the broker's memory. */

/* A gate, a signer or the store. */
struct report_process {
	uint32_t number;
	uint32_t pid; /* 0: dead and not replaced yet, or not known */
	uint32_t is_ready;
	uint32_t n_restarts;
	uint64_t uptime_ms;
};

/* One that is not on every server. */
struct report_other {
	char name[REPORT_NAME_SIZE]; /* what it is: "metrics" and so on; the number tells it from
					others of its kind */
	struct report_process process;
};

/* What keeps what is promised. */
struct report_store {
	uint32_t is_there; /* 0: there is none, and the rest is zero */
	uint32_t n_behind; /* changes that are not on the disk yet */
	struct report_process process;
	uint64_t lag_ms; /* since the oldest change that is not on the disk yet was ordered */
	uint64_t n_refused; /* changes that its file does not take, since the process was started */
	/* Of a fleet, while it has two keys: how many addresses it has, how many of these have
	 * records that only the second one opens, and one of them. */
	uint32_t n_addresses, n_need_second_key;
	struct ipv4 needs_second_key;
	uint32_t reserved; /* zero */
	uint64_t clock_ahead_s; /* of the fleet's; 0: not by what matters */
	/* Other hosts' addresses that this one is ready for, how many peers they have, and what
	 * their devices' processes take, in bytes. */
	uint32_t n_standby, n_standby_peers;
	uint64_t standby_memory;
};

/* The audit. */
struct report_audit {
	uint32_t is_there; /* 0: there is none, and the rest is zero */
	uint32_t is_failing; /* the last line of it could not be written */
	uint64_t n_lost; /* lines that could not, since the server's start */
};

/* The flow log, since the server's start. */
struct report_flows {
	uint32_t is_there;
	uint32_t is_failing; /* likewise, or no process writes it */
	uint64_t n_written; /* flows */
	uint64_t n_unheard; /* that the kernel has told of and there was no room for */
	uint64_t n_unwritten; /* that the file did not take */
};

struct report_header {
	uint32_t version; /* if it is not REPORT_VERSION, nothing more is to be read */
	uint32_t n_gates;
	uint32_t n_signers;
	uint32_t n_others;
	uint32_t extent; /* enum report_extent: REPORT_SUMS, there are no peers */
	uint32_t n_endpoints;
	uint32_t n_peers, n_names; /* of all pieces: zero as it is sent, report_decode() counts */
	uint32_t reserved; /* zero */
	uint32_t pid;
	uint32_t is_draining; /* stopping, finishing requests */
	uint32_t is_full; /* no new connections out of tunnels: too many are tracked */
	uint32_t n_tracked; /* connections, of this host and all tunnels */
	uint32_t max_tracked; /* 0: not known */
	struct ipv4 whole_block; /* that all endpoints' blocks lie in */
	uint32_t whole_block_length; /* of its prefix */
	struct ipv4 internal; /* of an internal network that tunnels reach */
	uint32_t internal_length; /* of its prefix; 0: there is none */
	uint64_t uptime_ms;
	uint64_t started_ms; /* since 1970, by the clock as it was then */
	uint64_t n_clashes; /* first packets that were dropped for want of a port, since the host's
			       start */
	struct report_store store;
	struct report_audit audit;
	struct report_flows flows;
	uint64_t
		refused[REPORT_N_REFUSALS]; /* packets out of tunnels, since the table was loaded */
	struct gate_counts answered; /* by all gates */
	struct histogram operations[REPORT_N_OPERATIONS]; /* of all endpoints */
	char release[REPORT_TEXT_SIZE];
	char plane[REPORT_NAME_SIZE]; /* as in --plane */
	char pin[REPORT_TEXT_SIZE]; /* of the TLS public key, as curl --pinnedpubkey takes it */
	uint8_t firewall[REPORT_DIGEST_SIZE]; /* of the tables, as they were loaded */
};

struct report_endpoint {
	char interface[REPORT_NAME_SIZE];
	uint32_t index;
	struct ipv4 bind;
	struct ipv4 gateway;
	struct ipv4 block;
	uint32_t block_length; /* of its prefix */
	struct key public_key;
	uint32_t port; /* UDP, of WireGuard */
	uint32_t is_kept; /* stays when the server goes */
	uint32_t is_lost; /* its device has vanished and is not back yet */
	uint32_t pool_capacity; /* addresses */
	uint32_t pool_taken;
	uint32_t n_wireguard, n_ipip; /* peers, by kind */
	uint32_t has_drops; /* 0: its device does not count them */
	uint32_t reserved; /* zero */
	uint64_t received; /* bytes since the server's start, of peers that are gone too */
	uint64_t sent;
	uint64_t age_ms; /* of its and its peers' counters */
	uint64_t clock_behind_s; /* behind the latest handshakes begun with its key */
	uint64_t counts[REPORT_N_COUNTS];
	uint64_t drops[DEVICE_N_DROPS]; /* of its device's process, as of the last inspection */
};

/* Some of the peers: all of them are not written at once. */
struct report_piece {
	uint32_t n_names, n_peers;
};

enum report_kind {
	REPORT_WIREGUARD = 1,
	REPORT_IPIP,
	REPORT_KIND_END,
};

struct report_peer {
	uint32_t endpoint; /* which of those above, from 0 */
	uint32_t kind; /* enum report_kind */
	struct ipv4 inner;
	struct ipv4 outer; /* 0.0.0.0: not known yet */
	uint32_t name; /* which of its piece's, of all once decoded, from 1; 0: it has none, or that
			  is not known */
	uint32_t reserved; /* zero */
	struct key key; /* of WireGuard */
	uint64_t received; /* bytes from the peer, since its tunnel was made */
	uint64_t sent; /* bytes to the peer */
	uint64_t received_rate; /* bytes/s */
	uint64_t sent_rate;
	uint64_t handshake_s; /* WireGuard: since 1970; 0: never */
	uint64_t idle_ms; /* since it gave a sign of life */
	uint64_t connected_ms; /* since its last request */
};

struct report {
	struct report_header header;
	struct report_process *gates;
	struct report_process *signers;
	struct report_other *others;
	struct report_endpoint *endpoints;
	struct client_name *names;
	struct report_peer *peers;
};

/*
 * Checks a whole answer and takes it apart: every text ends, every number is in its range. Returns
 * 0, -EPROTONOSUPPORT if it is of another version, -EPROTO if it is cut off or malformed, -ENOMEM.
 * To be freed with report_free().
 */
int report_decode(const void *answer, size_t length, struct report *report);
void report_free(struct report *report);

/* The name of a peer of the report; "" if it has none. */
const char *report_peer_name(const struct report *report, const struct report_peer *peer);
