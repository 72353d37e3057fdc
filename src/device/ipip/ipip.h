/*
 * IPIP (RFC 2003) on a raw socket of protocol 4. A peer is its outer source address, and may send
 * from one inner address only, or from any: a client's one peer sends for everybody.
 */
#pragma once

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/virtio_net.h>

#include "device/io/drops.h"
#include "device/io/tun_writer.h"
#include "device/ipip/ipip_peer.h"
#include "device/wireguard/allowedips.h"

/* What the device's threads share of IPIP: the control thread changes it, workers read. */
struct ipip {
	struct allowedips peers; /* by outer address: to ipip_peer.outer */
	/* The sockets: -1: none. The numbers stay while what is behind them changes (dup3()). */
	_Atomic int raw;
	_Atomic int fragmenting; /* -1 with raw */
	_Atomic bool has_errors; /* there are some for the control thread: ipip_read_error() */
	const _Atomic uint32_t *mtu; /* of the TUN */
	struct drops *drops;
	struct refusals *refusals;
};

struct ipip_sender;
struct ipip_receiver;

/* Without sockets and peers. The epoch, the MTU, the counters and refusals stay the caller's. */
void ipip_init(struct ipip *ipip, struct epoch *epoch, const _Atomic uint32_t *mtu,
	struct drops *drops, struct refusals *refusals);
/* There is no reader left. The peers and the sockets are the caller's. */
void ipip_free(struct ipip *ipip);

/* By the control thread. NULL: there is no such peer. */
struct ipip_peer *ipip_find_peer(const struct ipip *ipip, struct in_addr remote);

/*
 * Opens a raw socket of protocol 4, bound to a local address (network byte order; 0.0.0.0: any),
 * with a firewall mark or 0. fragmenting: for sending only, what the kernel is to cut into
 * fragments, and for ipip_read_error(); else the outer header is the sender's. Needs CAP_NET_RAW.
 * Returns it, or -errno.
 */
int ipip_open(struct in_addr local, uint32_t mark, bool fragmenting);

/* One of each a thread; tun is the queue to which the errors go that a sender of a packet must
 * know. NULL without memory. */
struct ipip_sender *ipip_sender_new(struct ipip *ipip, int tun);
void ipip_sender_free(struct ipip_sender *sender);
struct ipip_receiver *ipip_receiver_new(struct ipip *ipip);
void ipip_receiver_free(struct ipip_receiver *receiver);

/* As transmit_packet(): it goes at the latest with ipip_flush(). */
void ipip_send(struct ipip_sender *sender, struct ipip_peer *peer,
	const struct virtio_net_hdr *header, uint8_t *packet, size_t length, uint64_t now_ms);
void ipip_flush(struct ipip_sender *sender);

/* Receives once, and writes to the TUN what is a peer's. Returns how many packets there were. */
int ipip_receive(struct ipip_receiver *receiver, struct tun_writer *to, uint64_t now_ms);

/* From a fragmenting socket: what routers say of packets that we have sent, on either path: the
 * next one's destination. False: no more. */
bool ipip_read_error(int fd, struct in_addr *remote);

/* One outer packet, as a raw socket gives it: with its header, reassembled. Kept by reference until
 * the writer's flush. */
void ipip_decapsulate(
	struct ipip *ipip, struct tun_writer *to, uint8_t *data, size_t length, uint64_t now_ms);
