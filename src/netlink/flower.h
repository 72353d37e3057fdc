/*
 * What tc(8) does with the packets of one ipip interface that many peers share (tc-flower(8),
 * tc-tunnel_key(8), tc-skbedit(8)). Chain 0 finds the chain of an endpoint, by the outer
 * destination of what was received and the inner destination of what is to be sent, and there is
 * one filter for each peer and direction: what was received is marked where outer and inner source
 * belong together, what is to be sent gets its outer addresses. The filters of a chain have one
 * mask, so that the kernel finds any of them in one look-up (net/sched/cls_flower.c).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ipv4.h"

struct netlink;
struct netlink_request;
struct nlmsghdr;

enum flower_direction {
	FLOWER_RECEIVED,
	FLOWER_SENT,
};

/* Where filters are: the interface, the direction, and the chain; 0 is where packets begin. */
struct flower_place {
	unsigned int ifindex;
	enum flower_direction direction;
	uint32_t chain;
};

/* A peer's filter of one direction. Its handle is the inner address, which must not be 0. */
struct flower_peer {
	struct ipv4 inner;
	struct ipv4 bind; /* the outer address here; of a filter that is read: only FLOWER_SENT */
	struct ipv4 remote; /* the outer address there */
	uint64_t bytes; /* that have passed, of inner packets */
};

/* Leads from chain 0 to the chain of an endpoint, which is the filter's handle too, not 0. */
struct flower_endpoint {
	uint32_t chain;
	struct ipv4 bind; /* of a filter that is read: only FLOWER_RECEIVED */
	struct prefix block; /* of a filter that is read: left out */
};

/* To see whether the kernel has a kind of filter, or of action: the request is refused in either
 * case, with -ENOENT where it has not. The filter needs the hook. */
void flower_put_bare_filter(
	struct netlink_request *request, unsigned int ifindex, const char *kind);
void flower_put_bare_action(struct netlink_request *request, const char *kind);

/*
 * The messages by themselves, for requests of several. What is made and there already is -EEXIST,
 * also where it is another one; what is removed or looked up and not there is -ENOENT. All of them
 * are -EINVAL as long as there is no hook, and -ENODEV without the interface.
 */

/* The hook for filters, with none. */
void flower_put_hook(struct netlink_request *request, unsigned int ifindex);
/* What is received and comes to the end of the chain is dropped. */
void flower_put_drop(struct netlink_request *request, unsigned int ifindex, uint32_t chain);
void flower_put_drop_get(struct netlink_request *request, unsigned int ifindex, uint32_t chain);
void flower_put_endpoint(struct netlink_request *request, unsigned int ifindex,
	enum flower_direction direction, const struct flower_endpoint *endpoint);
void flower_put_endpoint_removal(struct netlink_request *request, unsigned int ifindex,
	enum flower_direction direction, uint32_t chain);
/* mark: of what was received (SO_MARK of socket(7)). flags: NLM_F_EXCL, or 0: also instead of the
 * one that is there. */
void flower_put_peer(struct netlink_request *request, const struct flower_place *place,
	const struct flower_peer *peer, uint32_t mark, uint16_t flags);
void flower_put_peer_get(
	struct netlink_request *request, const struct flower_place *place, struct ipv4 inner);
void flower_put_peer_removal(
	struct netlink_request *request, const struct flower_place *place, struct ipv4 inner);
/* Removes all of a chain. One that is not there is no error. */
void flower_put_flush(struct netlink_request *request, const struct flower_place *place);

/* All filters of a chain, in pieces: for netlink_dump_next(), whose messages are for
 * flower_decode_peer() with the same place. */
int flower_dump_begin(struct netlink *netlink, const struct flower_place *place);
/* The peers of a chain. The array is the caller's to free. */
int flower_dump_peers(struct netlink *netlink, const struct flower_place *place,
	struct flower_peer **peers, size_t *n);
/* What leads from chain 0 of the received packets to the chains of endpoints. Likewise. */
int flower_dump_endpoints(struct netlink *netlink, unsigned int ifindex,
	struct flower_endpoint **endpoints, size_t *n);
/* The chains of a direction that have filters, 0 among them. Likewise. */
int flower_dump_chains(struct netlink *netlink, unsigned int ifindex,
	enum flower_direction direction, uint32_t **chains, size_t *n);

/* Reads one filter: as address_decode(). place is a struct flower_place, peer a struct flower_peer.
 * One that is not as flower_put_peer() makes it is none. */
int flower_decode_peer(const struct nlmsghdr *message, const void *place, void *peer);
/* Reads the answer to flower_put_drop_get(): how many packets have come to the end of the chain.
 * False if it is another message. */
bool flower_decode_drop(const struct nlmsghdr *message, uint64_t *packets);
