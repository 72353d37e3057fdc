/*
 * Transport messages from the UDP sockets are opened and written to the TUN; handshake messages are
 * handed to the control thread. Runs in every worker.
 */
#include "device/receive.h"

#include <errno.h>
#include <stdlib.h>

#include "device/io/ecn.h"
#include "device/io/packet.h"
#include "device/wireguard/allowedips_lookup.h"

/* What came in on one key, until another key's turn. */
struct tally {
	struct keypair *keypair;
	uint64_t bytes;
	bool data; /* not only keepalives */
	bool confirms; /* the first packet on the key */
};

/* Transport messages of one key that are still to be opened. */
struct waiting {
	struct keypair *keypair;
	size_t n;
	struct aead_sealed sealed[AEAD_BATCH];
};

_Static_assert((int)UDP_ROOM >= (int)AEAD_ROOM, "messages are opened where they lie");

int receiver_init(struct receiver *r, struct shared *shared, int tun)
{
	int error;

	*r = (struct receiver){.shared = shared};
	r->aead = aead_batch_new(AEAD_BEST);
	r->blake2s = r->aead ? blake2s_new() : NULL;
	error = r->blake2s ? tun_writer_init(&r->writer, tun, shared->tun.uso, &shared->drops,
				     &shared->refusals)
			   : -errno;
	if (error == 0) {
		r->batch = udp_batch_new(&shared->refusals);
		error = r->batch ? 0 : -ENOMEM;
	}
	if (error < 0)
		receiver_free(r);
	return error;
}

void receiver_free(struct receiver *r)
{
	aead_batch_free(r->aead);
	blake2s_free(r->blake2s);
	udp_batch_free(r->batch);
	tun_writer_free(&r->writer);
}

/* Once a batch and key: who is where, what was counted, what the control thread must know. */
static void settle(
	struct receiver *r, struct tally *tally, const struct udp_endpoint *from, uint64_t now_ms)
{
	struct keypair *keypair = tally->keypair;
	struct wg_peer *peer;
	uint32_t requests;

	if (!keypair)
		return;
	peer = keypair->peer;
	atomic_fetch_add_explicit(&peer->target.received, tally->bytes, memory_order_relaxed);
	peer_address_update(&peer->address, from);
	requests = wg_peer_record_received(peer, tally->data, now_ms);
	if (tally->confirms)
		requests |= PEER_CONFIRM;
	if (keypair_rekey_after_receive(keypair, now_ms))
		requests |= PEER_HANDSHAKE;
	if (requests)
		shared_request(r->shared, peer, requests);
	tally->keypair = NULL;
}

static void receive_inner(struct receiver *r, const struct udp_message *message,
	const struct keypair *keypair, uint8_t *data, size_t length)
{
	struct allowedips_owner *owner;
	struct packet packet;

	if (packet_parse(data, length, &packet) < 0) {
		count_drop(&r->shared->drops.malformed);
		return;
	}
	owner = allowedips_lookup_source(&r->shared->inner, data, length);
	if (owner != &keypair->peer->target.inner) {
		count_drop(&r->shared->drops.spoofed);
		return;
	}
	if (!ecn_decapsulate(data, message->ecn)) {
		count_drop(&r->shared->drops.congested);
		return;
	}
	tun_writer_add(&r->writer, data, packet.length);
}

/* One that has been opened. */
static void receive_opened(struct receiver *r, const struct udp_message *message,
	struct keypair *keypair, const struct aead_sealed *opened, struct tally *tally,
	uint64_t now_ms)
{
	if (!opened->authentic) {
		count_drop(&r->shared->drops.forged);
		return;
	}
	if (!replay_accept(&keypair->replay, opened->counter)) {
		count_drop(&r->shared->drops.replayed);
		return;
	}
	if (tally->keypair != keypair) {
		settle(r, tally, &message->from, now_ms);
		/* before anything of it is written, and can be answered */
		*tally = (struct tally){.keypair = keypair, .confirms = keypair_confirm(keypair)};
	}
	tally->bytes += sizeof(struct message_transport) + opened->n;
	if (opened->n == AEAD_TAG_SIZE)
		return;
	tally->data = true;
	receive_inner(r, message, keypair, opened->data, opened->n - AEAD_TAG_SIZE);
}

/* Opens those that wait, and passes them on in their order. */
static void open_waiting(struct receiver *r, const struct udp_message *message,
	struct waiting *waiting, struct tally *tally, uint64_t now_ms)
{
	if (waiting->n > 0)
		aead_batch_open(r->aead, &waiting->keypair->receive, waiting->sealed, waiting->n);
	for (size_t i = 0; i < waiting->n; i++)
		receive_opened(r, message, waiting->keypair, &waiting->sealed[i], tally, now_ms);
	waiting->n = 0;
}

static void receive_transport(struct receiver *r, const struct udp_message *message, uint8_t *data,
	size_t length, struct waiting *waiting, struct tally *tally, uint64_t now_ms)
{
	const struct message_transport *header = (const struct message_transport *)data;
	struct keypair *keypair =
		keypair_of(index_lookup(&r->shared->wireguard.indices, le32_get(header->receiver)));

	if (!keypair || !keypair_alive(keypair, now_ms)) {
		count_drop(&r->shared->drops.no_session);
		return;
	}
	if (waiting->n == AEAD_BATCH || waiting->keypair != keypair)
		open_waiting(r, message, waiting, tally, now_ms);
	waiting->keypair = keypair;
	waiting->sealed[waiting->n++] = (struct aead_sealed){.data = data + sizeof *header,
		.n = length - sizeof *header,
		.counter = le64_get(header->counter)};
}

static void hand_off(
	struct receiver *r, const uint8_t *data, size_t length, const struct udp_endpoint *from)
{
	if (!mac1_filter_passes(&r->shared->wireguard.filter, r->blake2s, data, length))
		count_drop(&r->shared->drops.forged);
	else if (!handoff_write(&r->handoff, from, data, length, &r->wake))
		count_drop(&r->shared->drops.handshakes);
}

void receive_message(struct receiver *r, const struct udp_message *message, uint64_t now_ms)
{
	struct tally tally = {0};
	struct waiting waiting;
	size_t length;

	waiting.keypair = NULL;
	waiting.n = 0;
	for (size_t at = 0; at < message->length; at += length) {
		uint8_t *data = message->data + at;

		length = message->length - at;
		if (length > message->step)
			length = message->step;
		switch (messages_type(data, length)) {
		case MESSAGE_TRANSPORT:
			receive_transport(r, message, data, length, &waiting, &tally, now_ms);
			break;
		case 0:
			count_drop(&r->shared->drops.malformed);
			break;
		default:
			hand_off(r, data, length, &message->from);
		}
	}
	open_waiting(r, message, &waiting, &tally, now_ms);
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
	tun_writer_flush(&r->writer);
	return n < 0 ? 0 : n;
}
