/*
 * IPIP (RFC 2003) on a raw socket of protocol 4. A peer is its outer source address, and may send
 * from one inner address only, or from any: a client's one peer is its way to everybody.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/virtio_net.h>

#include "device/receive.h"
#include "device/shared.h"

struct ipip_sender;
struct ipip_receiver;

/*
 * Opens a raw socket of protocol 4, bound to a local address (network byte order; 0.0.0.0: any),
 * with a firewall mark or 0. fragmenting: for sending only, what the kernel is to cut into
 * fragments, and for ipip_read_error(); else the outer header is the sender's. Needs CAP_NET_RAW.
 * Returns it, or -errno.
 */
int ipip_open(struct in_addr local, uint32_t mark, bool fragmenting);

/* One of each a thread; tun is the queue to which the errors go that a sender of a packet must
 * know. NULL without memory. */
struct ipip_sender *ipip_sender_new(struct shared *shared, int tun);
void ipip_sender_free(struct ipip_sender *sender);
struct ipip_receiver *ipip_receiver_new(void);
void ipip_receiver_free(struct ipip_receiver *receiver);

/* As transmit_packet(): it goes at the latest with ipip_flush(). */
void ipip_send(struct ipip_sender *sender, struct ipip_target *target,
	const struct virtio_net_hdr *header, uint8_t *packet, size_t length, uint64_t now_ms);
void ipip_flush(struct ipip_sender *sender);

/* Receives once, and passes on what is a peer's. Returns how many packets there were. */
int ipip_receive(struct ipip_receiver *receiver, struct receiver *to, uint64_t now_ms);

/* From a fragmenting socket: what routers say of packets that we have sent, by whatever way: the
 * next one's destination. False: no more. */
bool ipip_read_error(int fd, struct in_addr *remote);

/* One outer packet, as a raw socket gives it: with its header, reassembled. Kept by reference until
 * receive_flush(). */
void ipip_take(struct receiver *to, uint8_t *data, size_t length, uint64_t now_ms);
