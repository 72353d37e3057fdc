/*
 * Packets from the TUN find their peer, are cut, sealed and sent; without a key they are staged.
 * Each worker has a transmitter, and the control thread one of its own.
 */
#include "device/transmit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netlink.h>

#include "base/log.h"
#include "device/io/ecn.h"
#include "device/io/headers.h"
#include "device/io/packet.h"
#include "device/io/segment.h"
#include "device/io/udp.h"
#include "device/ipip/ipip.h"
#include "device/sticky_source.h"
#include "device/wireguard/allowedips_lookup.h"
#include "device/wireguard/loop.h"
#include "netlink/socket.h"

enum {
	OVERHEAD = sizeof(struct message_transport) + AEAD_TAG_SIZE,
	OUT_SIZE = AEAD_ROOM + 2 * 65536, /* what is there, and one more packet of any length */
};

int transmitter_init(struct transmitter *t, struct shared *shared, unsigned int socket)
{
	*t = (struct transmitter){.shared = shared, .socket = socket};
	t->buffer = malloc(OUT_SIZE);
	if (!t->buffer)
		return -ENOMEM;
	t->out = t->buffer + AEAD_ROOM;
	t->aead = aead_batch_new(AEAD_BEST);
	if (!t->aead) {
		free(t->buffer);
		return -errno;
	}
	return netlink_open(NETLINK_ROUTE, &t->netlink);
}

void transmitter_free(struct transmitter *t)
{
	netlink_close(t->netlink);
	aead_batch_free(t->aead);
	free(t->buffer);
}

static int socket_for(const struct transmitter *t, const struct udp_endpoint *to)
{
	switch (to->family) {
	case AF_INET:
		return t->shared->udp4[t->socket];
	case AF_INET6:
		return t->shared->udp6[t->socket];
	default:
		return -1;
	}
}

/*
 * Where a device has one address that it serves, whatever it sends is from there, also what no
 * packet has come before of: the routing would choose the host's first address, from where the
 * other end expects nothing.
 */
static bool bind_source(
	const struct shared *shared, struct udp_endpoint *to, struct udp_burst *burst)
{
	in_addr_t source = atomic_load_explicit(&shared->source, memory_order_relaxed);

	if (source == INADDR_ANY || to->family != AF_INET)
		return false;
	to->local4.s_addr = source;
	burst->bound = true;
	return true;
}

/* The path refuses super-packets, now or before. */
static void count_plain(struct shared *shared, struct peer_address *address,
	const struct udp_burst *burst, uint32_t left)
{
	uint32_t packets = (uint32_t)((burst->length + burst->step - 1) / burst->step);

	if (left == 0)
		refusal_say(&shared->refusals, REFUSAL_UDP_SEGMENT);
	atomic_store_explicit(&address->plain_left,
		left == 0 ? REFUSAL_LASTS : refusal_pass(left, packets), memory_order_relaxed);
}

/* Sends packets to where the peer is. */
static void send_to_peer(struct transmitter *t, struct wg_peer *peer, struct udp_burst *burst)
{
	struct udp_endpoint to;
	uint32_t version = peer_address_get(&peer->address, &to);
	uint32_t left = atomic_load_explicit(&peer->address.plain_left, memory_order_relaxed);
	bool plain = left > 0, had_source;
	int fd = socket_for(t, &to);

	if (fd < 0) {
		count_drop(&t->shared->drops.no_endpoint);
		return;
	}
	if (!bind_source(t->shared, &to, burst))
		sticky_source_check(t->netlink, t->shared, &peer->address, version, fd, &to);
	had_source = udp_endpoint_has_source(&to);
	if (udp_send(fd, &to, burst, &plain) < 0)
		count_drop(&t->shared->drops.unsent);
	else
		atomic_fetch_add_explicit(&peer->target.sent, burst->length, memory_order_relaxed);
	if (had_source && !udp_endpoint_has_source(&to))
		peer_address_forget_source(&peer->address);
	if (plain)
		count_plain(t->shared, &peer->address, burst, left);
}

void transmit_flush(struct transmitter *t)
{
	struct udp_burst burst = {t->out, t->used, t->step, t->ecn, false};

	if (t->used > 0 && aead_batch_finish(t->aead) < 0)
		count_drop(&t->shared->drops.unsent);
	else if (t->used > 0)
		send_to_peer(t, t->peer, &burst);
	t->used = 0;
	if (t->ipip)
		ipip_flush(t->ipip);
}

/* Room for a message of this length behind those that are there, to be sent with them. */
static uint8_t *place(struct transmitter *t, struct wg_peer *peer, size_t length, uint8_t ecn)
{
	bool closed = t->used != t->n * t->step; /* a shorter one is the last */

	if (t->used > 0 && (t->peer != peer || closed || length > t->step || ecn != t->ecn ||
				   t->n == UDP_SEGMENTS || t->used + length > UDP_SEND_MAX))
		transmit_flush(t);
	if (t->used == 0) {
		t->peer = peer;
		t->step = length;
		t->ecn = ecn;
		t->n = 0;
	}
	return t->out + t->used;
}

static void seal(struct transmitter *t, struct wg_peer *peer, const struct keypair *keypair,
	uint64_t counter, const uint8_t *data, size_t length)
{
	uint8_t *out = place(t, peer, length + OVERHEAD, ecn_get(data));
	struct message_transport *message = (struct message_transport *)out;

	*message = (struct message_transport){.type = MESSAGE_TRANSPORT,
		.receiver = le32_make(keypair->remote_index),
		.counter = le64_make(counter)};
	if (aead_batch_seal(t->aead, &keypair->send, counter, data, length, out + sizeof *message) <
		0) {
		count_drop(&t->shared->drops.unsent);
		return;
	}
	t->used += length + OVERHEAD;
	t->n++;
}

static void seal_all(struct transmitter *t, struct wg_peer *peer, struct keypair *keypair,
	const struct virtio_net_hdr *header, uint8_t *packet, size_t length, uint64_t now_ms)
{
	size_t mtu = atomic_load_explicit(&t->shared->mtu, memory_order_relaxed);
	struct segmenter segmenter;
	struct segment segment;
	uint32_t requests;
	uint64_t counter;

	if (segmenter_begin(&segmenter, header, packet, length) < 0) {
		count_drop(&t->shared->drops.malformed);
		return;
	}
	if (!keypair_reserve(keypair, segmenter_count(&segmenter), &counter)) {
		count_drop(&t->shared->drops.unsent);
		return;
	}
	while (segmenter_next(&segmenter, &segment)) {
		size_t padded = messages_padded(segment.length, mtu);

		segmenter_pad(&segmenter, &segment, padded - segment.length);
		seal(t, peer, keypair, counter++, segment.data, padded);
	}
	requests = wg_peer_record_sent(peer, true, now_ms);
	if (keypair_rekey_after_send(keypair, now_ms))
		requests |= PEER_HANDSHAKE;
	if (requests)
		shared_request(t->shared, peer, requests);
}

static void seal_staged(struct transmitter *t, struct wg_peer *peer, struct keypair *keypair,
	struct staged_packet *packet, uint64_t now_ms)
{
	struct staged_packet *next;

	for (; packet; packet = next) {
		next = packet->next;
		seal_all(t, peer, keypair, &packet->header, packet->data, packet->length, now_ms);
		free(packet);
	}
}

bool transmit_staged(struct transmitter *t, struct wg_peer *peer, uint64_t now_ms)
{
	struct keypair *keypair = wg_peer_sending_key(peer, now_ms);
	struct staged_packet *packets;
	bool any = false;

	if (!keypair)
		return false;
	staged_packets_begin(&t->shared->staged);
	while ((packets = staged_packets_next(&t->shared->staged, peer))) {
		any = true;
		seal_staged(t, peer, keypair, packets, now_ms);
		transmit_flush(t);
	}
	return any;
}

static void stage(struct transmitter *t, struct wg_peer *peer, const struct virtio_net_hdr *header,
	const uint8_t *packet, size_t length, uint64_t now_ms)
{
	struct session *session = atomic_load_explicit(&peer->session, memory_order_acquire);

	staged_packets_add(&t->shared->staged, peer, header, packet, length);
	if (session)
		timers_record_wanted(&session->timers, now_ms);
	shared_request(t->shared, peer, PEER_HANDSHAKE);
	/* the key may have come before the packet was staged */
	transmit_staged(t, peer, now_ms);
}

static void drop_looped(struct shared *shared)
{
	count_drop(&shared->drops.looped);
	if (!atomic_exchange_explicit(&shared->logged_loop, true, memory_order_relaxed))
		log_warning("%s: the route to a peer leads into %s itself: its packets are dropped",
			shared->tun.name, shared->tun.name);
}

static void transmit_wireguard(struct transmitter *t, struct wg_peer *peer,
	const struct virtio_net_hdr *header, uint8_t *packet, const struct packet *parsed,
	uint64_t now_ms)
{
	struct keypair *keypair = wg_peer_sending_key(peer, now_ms);

	if (!keypair) {
		stage(t, peer, header, packet, parsed->length, now_ms);
		return;
	}
	if (loop_is_own_message(packet, parsed, keypair->remote_index)) {
		drop_looped(t->shared);
		return;
	}
	if (staged_packets_any(peer))
		transmit_staged(t, peer, now_ms);
	seal_all(t, peer, keypair, header, packet, parsed->length, now_ms);
}

/* RFC 2003, 3.2: what has gone into the tunnel does not go into it again. */
static void transmit_ipip(struct transmitter *t, struct ipip_peer *peer,
	const struct virtio_net_hdr *header, uint8_t *packet, const struct packet *parsed,
	uint64_t now_ms)
{
	in_addr_t source = atomic_load_explicit(&t->shared->source, memory_order_relaxed);

	if (parsed->version == 4 && packet[IPV4_PROTOCOL] == IPPROTO_IPIP &&
		memcmp(parsed->source, &source, sizeof source) == 0 &&
		memcmp(parsed->destination, &peer->remote, sizeof peer->remote) == 0)
		drop_looped(t->shared);
	else
		ipip_send(t->ipip, peer, header, packet, parsed->length, now_ms);
}

void transmit_packet(struct transmitter *t, const struct virtio_net_hdr *header, uint8_t *packet,
	size_t length, uint64_t now_ms)
{
	struct allowedips_owner *owner;
	struct target *target;
	struct packet parsed;

	if (packet_parse(packet, length, &parsed) < 0) {
		count_drop(&t->shared->drops.malformed);
		return;
	}
	owner = allowedips_lookup_destination(&t->shared->inner, packet, length);
	if (!owner) {
		count_drop(&t->shared->drops.no_target);
		return;
	}
	target = target_of(owner);
	if (target->kind == TARGET_WIREGUARD)
		transmit_wireguard(t, wg_peer_of(target), header, packet, &parsed, now_ms);
	else if (t->ipip)
		transmit_ipip(t, ipip_peer_of(target), header, packet, &parsed, now_ms);
}

static uint8_t tos_of(const void *datagram, size_t length)
{
	return messages_type(datagram, length) == MESSAGE_TRANSPORT ? 0 : DSCP_HANDSHAKE;
}

void transmit_datagram(
	struct transmitter *t, struct wg_peer *peer, const void *datagram, size_t length)
{
	struct udp_burst burst = {datagram, length, length, tos_of(datagram, length), false};

	send_to_peer(t, peer, &burst);
}

void transmit_answer(
	struct transmitter *t, const struct udp_endpoint *to, const void *datagram, size_t length)
{
	struct udp_burst burst = {datagram, length, length, tos_of(datagram, length), false};
	struct udp_endpoint copy = *to;
	bool plain = true;
	int fd = socket_for(t, to);

	bind_source(t->shared, &copy, &burst);
	if (fd < 0 || udp_send(fd, &copy, &burst, &plain) < 0)
		count_drop(&t->shared->drops.unsent);
}
