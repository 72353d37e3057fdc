/*
 * Handshake messages, as the control thread takes them from the network. The first byte of the
 * input says how the rest is used; a changed message must never make a session.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>

#include "device/control.h"
#include "device/wireguard/handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum mode {
	MODE_MESSAGE = 3, /* how the datagram is made. 0: it is the input */
	MODE_SIGNED = 1, /* the input, with a valid mac1 */
	MODE_CHANGED_INITIATION = 2, /* a true message, with the input XORed into it */
	MODE_CHANGED_RESPONSE = 3,
	MODE_UNDER_LOAD = 4,
};

enum { MAX_DATAGRAM = 2048 };

struct host {
	struct wireguard wg;
	struct epoch epoch;
	struct wg_peer *peer;
	uint8_t sent[MAX_DATAGRAM]; /* the last */
	size_t sent_length;
};

static uint64_t random_state;

static int plain_random(void *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		random_state = random_state * 6364136223846793005u + 1442695040888963407u;
		((uint8_t *)bytes)[i] = (uint8_t)(random_state >> 56);
	}
	return 0;
}

static uint64_t now_ms(const struct clock *clock)
{
	(void)clock;
	return 1000000;
}

static const struct clock stopped_clock = {now_ms};

static uint64_t wall_ns(void)
{
	return UINT64_C(1700000000000000000);
}

static void on_send(void *context, struct wg_peer *peer, const void *datagram, size_t length)
{
	struct host *host = context;

	(void)peer;
	assert(length <= sizeof host->sent);
	memcpy(host->sent, datagram, length);
	host->sent_length = length;
}

static void on_answer(
	void *context, const struct udp_endpoint *to, const void *datagram, size_t length)
{
	(void)to;
	on_send(context, NULL, datagram, length);
}

static bool on_ready(void *context, struct wg_peer *peer)
{
	(void)context;
	(void)peer;
	return false;
}

static void on_gave_up(void *context, struct wg_peer *peer)
{
	(void)context;
	(void)peer;
}

static void on_release(void *context, struct wg_peer *peer)
{
	(void)context;
	free(peer);
}

static const struct wireguard_ops ops = {on_send, on_answer, on_ready, on_gave_up, on_release};

static void host_init(struct host *host, uint8_t seed)
{
	struct key private_key = {{0, seed}}; /* the lowest bits do not count */

	memset(host, 0, sizeof *host);
	if (epoch_init(&host->epoch, 0) != 0 ||
		control_init(&host->wg, &host->epoch, &ops, host, &stopped_clock, wall_ns,
			plain_random) != 0 ||
		control_set_private_key(&host->wg, &private_key) != 0)
		abort();
	control_set_up(&host->wg, true);
}

static void introduce(struct host *host, const struct host *other)
{
	host->peer = calloc(1, sizeof(*host->peer));
	if (!host->peer ||
		control_add_peer(&host->wg, host->peer, &other->wg.noise.public_key) != 0)
		abort();
}

static void host_free(struct host *host)
{
	control_remove_peer(&host->wg, host->peer);
	control_free(&host->wg);
	epoch_free(&host->epoch);
}

static void initiate(struct host *host)
{
	wg_peer_request(&host->wg.inbox, host->peer, PEER_HANDSHAKE);
	control_run(&host->wg);
}

static bool has_session(const struct host *host)
{
	const struct session *session = host->peer->session;

	return session && (session->keypairs.current || session->keypairs.next);
}

static void sign(struct host *to, uint8_t *message, size_t length)
{
	struct cookie_jar jar = {0};

	if (length > sizeof(struct message_macs))
		cookie_add_macs(&jar, &to->wg.checker.keys, to->wg.noise.blake2s, message, length,
			now_ms(NULL));
}

/* XORs the input into what is authenticated of a true message, and signs it. Returns whether that
 * changed it. */
static bool change(struct host *to, uint8_t *message, size_t begin, size_t length,
	const uint8_t *data, size_t size)
{
	size_t end = length - sizeof(struct message_macs);
	bool changed = false;

	for (size_t i = 0; i < size && begin + i < end; i++) {
		message[begin + i] ^= data[i];
		changed |= data[i] != 0;
	}
	sign(to, message, length);
	return changed;
}

static const struct udp_endpoint source = {.v4 = {.sin_family = AF_INET, .sin_port = 7}};

static void receive_input(uint8_t mode, const uint8_t *data, size_t size, struct host *to)
{
	uint8_t message[MAX_DATAGRAM];

	memcpy(message, data, size);
	if (mode & MODE_SIGNED)
		sign(to, message, size);
	if (mac1_filter_passes(&to->wg.filter, to->wg.noise.blake2s, message, size))
		handshake_receive(&to->wg, message, size, &source, mode & MODE_UNDER_LOAD);
	assert(!has_session(to));
}

static void receive_changed(uint8_t mode, const uint8_t *data, size_t size, struct host *from,
	struct host *to, size_t begin)
{
	uint8_t message[MAX_DATAGRAM];
	size_t length = from->sent_length;
	bool changed;

	memcpy(message, from->sent, length);
	changed = change(to, message, begin, length, data, size);
	assert(mac1_filter_passes(&to->wg.filter, to->wg.noise.blake2s, message, length));
	handshake_receive(&to->wg, message, length, &source, mode & MODE_UNDER_LOAD);
	/* The first answer to an initiation of its own needs no cookie. */
	if (mode & MODE_UNDER_LOAD && (mode & MODE_MESSAGE) == MODE_CHANGED_INITIATION)
		assert(!has_session(to));
	else
		assert(has_session(to) == !changed);
}

static void run(uint8_t mode, const uint8_t *data, size_t size, struct host *a, struct host *b)
{
	initiate(a);
	switch (mode & MODE_MESSAGE) {
	case MODE_CHANGED_INITIATION:
		receive_changed(
			mode, data, size, a, b, offsetof(struct message_initiation, ephemeral));
		break;
	case MODE_CHANGED_RESPONSE:
		handshake_receive(&b->wg, a->sent, a->sent_length, &source, false);
		receive_changed(
			mode, data, size, b, a, offsetof(struct message_response, ephemeral));
		break;
	default:
		receive_input(mode, data, size, b);
	}
	control_run(&a->wg);
	control_run(&b->wg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct host a, b;

	if (size < 1 || size > MAX_DATAGRAM)
		return 0;
	random_state = 1;
	host_init(&a, 1);
	host_init(&b, 2);
	introduce(&a, &b);
	introduce(&b, &a);
	run(data[0], data + 1, size - 1, &a, &b);
	host_free(&a);
	host_free(&b);
	return 0;
}
