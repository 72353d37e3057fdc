/*
 * From the TUN to the peers: a packet's destination finds its peer, super-packets are cut, sealed
 * into one buffer, and go out with one system call. A transmitter belongs to one thread; its
 * functions are called within that thread's epoch.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <linux/virtio_net.h>

#include "device/crypto/aead_batch.h"
#include "device/shared.h"

struct transmitter {
	struct shared *shared;
	struct aead_batch *aead;
	struct netlink *netlink; /* asked for routes */
	unsigned int socket; /* which of shared->udp4 and udp6 it sends with */
	/* Sealed packets of one peer, one after the other, and not yet sent. */
	struct wg_peer *peer;
	size_t used; /* bytes; 0: none */
	size_t step; /* length of each but the last */
	unsigned int n;
	uint8_t ecn; /* of all of them: enum ecn */
	uint8_t *out;
	uint8_t *buffer; /* that they are in, behind what the AEAD needs */
	struct ipip_sender *ipip; /* NULL: no IPIP */
};

/* Returns 0 or -errno. */
int transmitter_init(struct transmitter *t, struct shared *shared, unsigned int socket);
void transmitter_free(struct transmitter *t);

/*
 * Takes a packet as read from the TUN, which is overwritten; before it must be AEAD_ROOM bytes that
 * can be read, and behind it as many that can be written, of which SEGMENT_PAD_MAX are. It is sent
 * at the latest with transmit_flush(), or waits for a key, or is dropped and counted.
 */
void transmit_packet(struct transmitter *t, const struct virtio_net_hdr *header, uint8_t *packet,
	size_t length, uint64_t now_ms);

/* Sends what waited for a key, if there is one now. Returns true if anything did. */
bool transmit_staged(struct transmitter *t, struct wg_peer *peer, uint64_t now_ms);

void transmit_flush(struct transmitter *t);

/* One datagram that is ready to go: a handshake message or a keepalive. */
void transmit_datagram(
	struct transmitter *t, struct wg_peer *peer, const void *datagram, size_t length);
/* To where no peer is known to be. */
void transmit_answer(
	struct transmitter *t, const struct udp_endpoint *to, const void *datagram, size_t length);
