#include "device/receive.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "device/io/ecn.h"
#include "device/io/packet.h"
#include "device/target.h"
#include "device/wireguard/allowedips_lookup.h"

/* What came in on one key, until another key's turn. */
struct tally {
	struct keypair *keypair;
	uint64_t bytes;
	bool data; /* not only keepalives */
};

int receiver_init(struct receiver *r, struct shared *shared, int tun)
{
	*r = (struct receiver){.shared = shared, .tun = tun};
	r->aead = aead_new();
	r->blake2s = r->aead ? blake2s_new() : NULL;
	if (!r->blake2s) {
		int error = -errno;

		aead_free(r->aead);
		return error;
	}
	r->batch = udp_batch_new();
	r->coalescer = malloc(sizeof *r->coalescer);
	if (!r->batch || !r->coalescer) {
		receiver_free(r);
		return -ENOMEM;
	}
	coalescer_init(r->coalescer, shared->tun.uso);
	return 0;
}

void receiver_free(struct receiver *r)
{
	aead_free(r->aead);
	blake2s_free(r->blake2s);
	udp_batch_free(r->batch);
	free(r->coalescer);
}

static void write_packet(void *context, const struct iovec *vector, int n)
{
	struct receiver *r = context;

	if (writev(r->tun, vector, n) < 0)
		count(&r->shared->drops.unsent);
}

void receive_flush(struct receiver *r)
{
	coalescer_flush(r->coalescer, write_packet, r);
}

void receive_packet(struct receiver *r, uint8_t *data, size_t length)
{
	if (coalescer_is_full(r->coalescer))
		receive_flush(r);
	coalescer_add(r->coalescer, data, length);
}

void receive_as_is(
	struct receiver *r, const struct virtio_net_hdr *header, uint8_t *data, size_t length)
{
	const struct iovec vector[] = {{(void *)header, sizeof *header}, {data, length}};

	receive_flush(r);
	write_packet(r, vector, sizeof vector / sizeof *vector);
}

/* Once a batch and key: who is where, what was counted, what the control thread must know. */
static void settle(
	struct receiver *r, struct tally *tally, const struct endpoint *from, uint64_t now_ms)
{
	struct keypair *keypair = tally->keypair;
	struct wireguard_target *target;
	uint32_t requests;

	if (!keypair)
		return;
	target = target_of_peer(keypair->peer);
	atomic_fetch_add_explicit(&target->target.received, tally->bytes, memory_order_relaxed);
	if (!whereabouts_is(&target->where, from))
		whereabouts_set(&target->where, from);
	requests = peer_note_received(keypair->peer, tally->data, now_ms);
	if (keypair_confirm(keypair))
		requests |= PEER_CONFIRM;
	if (keypair_rekey_after_receive(keypair, now_ms))
		requests |= PEER_HANDSHAKE;
	if (requests)
		shared_request(r->shared, keypair->peer, requests);
	tally->keypair = NULL;
}

static void receive_inner(struct receiver *r, const struct udp_message *message,
	const struct keypair *keypair, uint8_t *data, size_t length)
{
	struct allowedips_owner *owner;
	struct packet packet;

	if (packet_parse(data, length, &packet) < 0) {
		count(&r->shared->drops.malformed);
		return;
	}
	owner = allowedips_lookup_source(&r->shared->inner, data, length);
	if (owner != &target_of_peer(keypair->peer)->target.inner) {
		count(&r->shared->drops.spoofed);
		return;
	}
	if (!ecn_decapsulate(data, message->ecn)) {
		count(&r->shared->drops.congested);
		return;
	}
	receive_packet(r, data, packet.length);
}

static void receive_transport(struct receiver *r, const struct udp_message *message, uint8_t *data,
	size_t length, struct tally *tally, uint64_t now_ms)
{
	const struct message_transport *header = (const struct message_transport *)data;
	uint8_t *sealed = data + sizeof *header;
	size_t sealed_length = length - sizeof *header;
	uint64_t counter = le64_get(header->counter);
	struct keypair *keypair =
		keypair_of(index_lookup(&r->shared->control.indices, le32_get(header->receiver)));

	if (!keypair || !keypair_alive(keypair, now_ms)) {
		count(&r->shared->drops.no_session);
		return;
	}
	if (aead_open(r->aead, &keypair->receive, counter, NULL, 0, sealed, sealed_length, sealed) <
		0) {
		count(&r->shared->drops.forged);
		return;
	}
	if (!replay_accept(&keypair->replay, counter)) {
		count(&r->shared->drops.replayed);
		return;
	}
	if (tally->keypair != keypair) {
		settle(r, tally, &message->from, now_ms);
		*tally = (struct tally){.keypair = keypair};
	}
	tally->bytes += length;
	if (sealed_length == AEAD_TAG_SIZE)
		return;
	tally->data = true;
	receive_inner(r, message, keypair, sealed, sealed_length - AEAD_TAG_SIZE);
}

static void hand_off(
	struct receiver *r, const uint8_t *data, size_t length, const struct endpoint *from)
{
	if (!screen_lets_through(&r->shared->control.screen, r->blake2s, data, length))
		count(&r->shared->drops.forged);
	else if (!handoff_put(&r->handoff, from, data, length, &r->wake))
		count(&r->shared->drops.handshakes);
}

void receive_message(struct receiver *r, const struct udp_message *message, uint64_t now_ms)
{
	struct tally tally = {0};
	size_t length;

	for (size_t at = 0; at < message->length; at += length) {
		uint8_t *data = message->data + at;

		length = message->length - at;
		if (length > message->step)
			length = message->step;
		switch (messages_type(data, length)) {
		case MESSAGE_TRANSPORT:
			receive_transport(r, message, data, length, &tally, now_ms);
			break;
		case 0:
			count(&r->shared->drops.malformed);
			break;
		default:
			hand_off(r, data, length, &message->from);
		}
	}
	settle(r, &tally, &message->from, now_ms);
}

int receive_udp(struct receiver *r, int fd, uint64_t now_ms)
{
	struct udp_message messages[UDP_BATCH];
	int n = udp_receive(fd, r->batch, messages);

	for (int i = 0; i < n; i++)
		receive_message(r, &messages[i], now_ms);
	if (r->wake)
		shared_wake(r->shared);
	r->wake = false;
	receive_flush(r);
	return n < 0 ? 0 : n;
}
