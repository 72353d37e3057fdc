#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include "device/control.h"
#include "device/wireguard/handshake.h"
#include "device/wireguard/session.h"

/*
 * Two hosts and a wire. What one sends waits on the wire until it is delivered, lost or changed. A
 * host's worker is played by host_send() and host_take(), with the functions that workers use.
 */
enum { MAX_DATAGRAM = 256, MAX_WIRE = 64, SECOND = 1000 };

struct datagram {
	uint8_t bytes[MAX_DATAGRAM];
	size_t length;
};

struct host {
	struct wireguard wg;
	struct epoch epoch;
	struct wg_peer *peer; /* the other host */
	struct udp_endpoint address;
	struct aead *aead;
	struct blake2s *blake2s; /* a worker's, as the aead */
	bool staged; /* a packet waits for a key */

	struct datagram sent[MAX_WIRE];
	size_t n_sent;
	int n_data, n_keepalives; /* received */
	int n_ready, n_gave_up, n_released;
};

static uint64_t fake_now;

static uint64_t fake_now_ms(const struct clock *clock)
{
	(void)clock;
	return fake_now;
}

static const struct clock fake_clock = {fake_now_ms};

static int64_t clock_error_s; /* of the time of day */

static uint64_t fake_wall_ns(void)
{
	return UINT64_C(1700000000000000000) + fake_now * 1000000 +
	       (uint64_t)(clock_error_s * 1000000000);
}

static void put_on_wire(struct host *host, const void *bytes, size_t length)
{
	assert_true(host->n_sent < MAX_WIRE && length <= MAX_DATAGRAM);
	memcpy(host->sent[host->n_sent].bytes, bytes, length);
	host->sent[host->n_sent++].length = length;
}

static bool host_send(struct host *host, bool data);

static void on_send(void *context, struct wg_peer *peer, const void *datagram, size_t length)
{
	struct host *host = context;

	assert_ptr_equal(peer, host->peer);
	put_on_wire(host, datagram, length);
}

static void on_answer(
	void *context, const struct udp_endpoint *to, const void *datagram, size_t length)
{
	assert_int_not_equal(to->family, AF_UNSPEC);
	put_on_wire(context, datagram, length);
}

static bool on_ready(void *context, struct wg_peer *peer)
{
	struct host *host = context;

	(void)peer;
	host->n_ready++;
	if (!host->staged)
		return false;
	host->staged = false;
	return host_send(host, true);
}

static void on_gave_up(void *context, struct wg_peer *peer)
{
	struct host *host = context;

	(void)peer;
	host->staged = false;
	host->n_gave_up++;
}

static void on_release(void *context, struct wg_peer *peer)
{
	struct host *host = context;

	host->n_released++;
	free(peer);
}

static const struct wireguard_ops ops = {on_send, on_answer, on_ready, on_gave_up, on_release};

static bool knows_peer_at(const struct host *host, const struct udp_endpoint *address)
{
	struct udp_endpoint known;

	peer_address_get(&host->peer->address, &known);
	return known.family == AF_INET && known.v4.sin_addr.s_addr == address->v4.sin_addr.s_addr &&
	       known.v4.sin_port == address->v4.sin_port;
}

/* A worker sends one packet. Returns false if it was staged. */
static bool host_send(struct host *host, bool data)
{
	struct session *session = atomic_load(&host->peer->session);
	struct keypair *keypair = wg_peer_sending_key(host->peer, fake_now);
	struct message_transport header = {.type = MESSAGE_TRANSPORT};
	uint8_t bytes[MAX_DATAGRAM] = {0}, plain[32] = {0x45};
	size_t n = data ? sizeof plain : 0;
	uint32_t requests = 0;
	uint64_t counter;

	if (!keypair || !keypair_reserve(keypair, 1, &counter)) {
		host->staged = true;
		if (session)
			timers_record_wanted(&session->timers, fake_now);
		wg_peer_request(&host->wg.inbox, host->peer, PEER_HANDSHAKE);
		return false;
	}
	header.receiver = le32_make(keypair->remote_index);
	header.counter = le64_make(counter);
	memcpy(bytes, &header, sizeof header);
	aead_seal(host->aead, &keypair->send, counter, NULL, 0, plain, n, bytes + sizeof header);
	put_on_wire(host, bytes, sizeof header + n + AEAD_TAG_SIZE);
	requests |= wg_peer_record_sent(host->peer, data, fake_now);
	requests |= keypair_rekey_after_send(keypair, fake_now) ? PEER_HANDSHAKE : 0;
	if (requests)
		wg_peer_request(&host->wg.inbox, host->peer, requests);
	return true;
}

/* A worker takes a transport message. False: dropped. */
static bool host_take(struct host *host, const struct datagram *datagram)
{
	const struct message_transport *header = (const void *)datagram->bytes;
	struct keypair *keypair =
		keypair_of(index_lookup(&host->wg.indices, le32_get(header->receiver)));
	uint64_t counter = le64_get(header->counter);
	bool data = datagram->length > TRANSPORT_MIN_SIZE;
	uint8_t plain[MAX_DATAGRAM];
	uint32_t requests = 0;

	if (!keypair || !keypair_alive(keypair, fake_now))
		return false;
	if (aead_open(host->aead, &keypair->receive, counter, NULL, 0,
		    datagram->bytes + sizeof *header, datagram->length - sizeof *header,
		    plain) != 0 ||
		!replay_accept(&keypair->replay, counter))
		return false;
	requests |= keypair_confirm(keypair) ? PEER_CONFIRM : 0;
	requests |= wg_peer_record_received(keypair->peer, data, fake_now);
	requests |= keypair_rekey_after_receive(keypair, fake_now) ? PEER_HANDSHAKE : 0;
	if (requests)
		wg_peer_request(&host->wg.inbox, keypair->peer, requests);
	host->n_data += data;
	host->n_keepalives += !data;
	return true;
}

static void run(struct host *host)
{
	control_run(&host->wg);
}

/* A worker takes a handshake message, and hands it over. False: dropped. */
static bool host_handshake(struct host *host, const uint8_t *bytes, size_t length,
	const struct udp_endpoint *source, bool under_load)
{
	if (!mac1_filter_passes(&host->wg.filter, host->blake2s, bytes, length))
		return false;
	handshake_receive(&host->wg, bytes, length, source, under_load);
	return true;
}

static bool deliver_one(
	struct host *from, struct host *to, const struct datagram *datagram, bool under_load)
{
	if (messages_type(datagram->bytes, datagram->length) == MESSAGE_TRANSPORT)
		return host_take(to, datagram);
	return host_handshake(to, datagram->bytes, datagram->length, &from->address, under_load);
}

/* All that is on the wire from one to the other, in order; what it causes stays on the wire. */
static void deliver(struct host *from, struct host *to)
{
	size_t n = from->n_sent;
	struct datagram batch[MAX_WIRE];

	memcpy(batch, from->sent, sizeof batch);
	from->n_sent = 0;
	for (size_t i = 0; i < n; i++)
		deliver_one(from, to, &batch[i], false);
	run(to);
}

static void lose(struct host *from)
{
	from->n_sent = 0;
}

/* Until nothing is on the wire. */
static void settle(struct host *a, struct host *b)
{
	run(a);
	run(b);
	while (a->n_sent || b->n_sent) {
		deliver(a, b);
		deliver(b, a);
	}
}

static int sent_type(const struct host *host, size_t i)
{
	return i < host->n_sent ? messages_type(host->sent[i].bytes, host->sent[i].length) : 0;
}

/* Lets time pass, each host waking when it wants to; what they send arrives unless lossy. */
static void pass(struct host *a, struct host *b, uint64_t ms, bool lossy)
{
	uint64_t end = fake_now + ms;

	run(a);
	run(b);
	for (;;) {
		uint64_t x = control_deadline(&a->wg), y = control_deadline(&b->wg);
		uint64_t next = x < y ? x : y;

		fake_now = next < end ? (next > fake_now ? next : fake_now) : end;
		run(a);
		run(b);
		if (lossy) {
			lose(a);
			lose(b);
		} else {
			settle(a, b);
		}
		if (fake_now >= end)
			return;
	}
}

static void host_init(struct host *host, uint32_t address)
{
	struct key private_key;

	memset(host, 0, sizeof *host);
	assert_int_equal(epoch_init(&host->epoch, 1), 0);
	assert_int_equal(control_init(&host->wg, &host->epoch, &ops, host, &fake_clock,
				 fake_wall_ns, noise_random),
		0);
	assert_int_equal(key_generate_private(&private_key), 0);
	assert_int_equal(control_set_private_key(&host->wg, &private_key), 0);
	control_set_up(&host->wg, true);
	host->aead = aead_new();
	host->blake2s = blake2s_new();
	host->address = (struct udp_endpoint){.v4 = {.sin_family = AF_INET,
						      .sin_addr.s_addr = htonl(address),
						      .sin_port = htons(51820)}};
}

static void introduce(struct host *host, const struct host *other)
{
	host->peer = calloc(1, sizeof(*host->peer));
	assert_int_equal(control_add_peer(&host->wg, host->peer, &other->wg.noise.public_key), 0);
	assert_ptr_equal(wireguard_find_peer(&host->wg, &other->wg.noise.public_key), host->peer);
}

static void host_free(struct host *host)
{
	if (host->peer)
		control_remove_peer(&host->wg, host->peer);
	assert_int_equal(host->wg.indices.count, 0);
	assert_int_equal(host->wg.n_sessions, 0);
	assert_int_equal(host->wg.deadlines.count, 0);
	control_free(&host->wg);
	epoch_free(&host->epoch);
	aead_free(host->aead);
	blake2s_free(host->blake2s);
}

struct pair {
	struct host a, b;
};

static int set_up(void **state)
{
	struct pair *pair = calloc(1, sizeof(*pair));

	fake_now = 1000000;
	clock_error_s = 0;
	host_init(&pair->a, 0xc0000201);
	host_init(&pair->b, 0xc0000202);
	introduce(&pair->a, &pair->b);
	introduce(&pair->b, &pair->a);
	*state = pair;
	return 0;
}

static int tear_down(void **state)
{
	struct pair *pair = *state;

	host_free(&pair->a);
	host_free(&pair->b);
	free(pair);
	return 0;
}

static void connect_pair(struct pair *p)
{
	host_send(&p->a, true);
	settle(&p->a, &p->b);
	assert_non_null(wg_peer_sending_key(p->a.peer, fake_now));
	assert_non_null(wg_peer_sending_key(p->b.peer, fake_now));
}

/* --- Sessions --- */

static void the_first_packet_waits_for_the_handshake_and_then_goes(void **state)
{
	struct pair *p = *state;

	assert_false(host_send(&p->a, true));
	run(&p->a);
	assert_int_equal(p->a.n_sent, 1);
	assert_int_equal(sent_type(&p->a, 0), MESSAGE_INITIATION);
	deliver(&p->a, &p->b);
	assert_int_equal(sent_type(&p->b, 0), MESSAGE_RESPONSE);
	/* The responder does not send before it has heard the initiator with the new key. */
	assert_null(wg_peer_sending_key(p->b.peer, fake_now));
	assert_true(p->b.peer->handshake_ns == 0);
	deliver(&p->b, &p->a);
	assert_int_equal(p->a.n_sent, 1);
	assert_int_equal(sent_type(&p->a, 0), MESSAGE_TRANSPORT);
	deliver(&p->a, &p->b);
	assert_int_equal(p->b.n_data, 1);
	assert_non_null(wg_peer_sending_key(p->b.peer, fake_now));
	assert_int_equal(p->b.n_ready, 1);
	assert_true(p->a.peer->handshake_ns == fake_wall_ns());
	assert_true(p->b.peer->handshake_ns == fake_wall_ns());
	assert_true(host_send(&p->b, true));
	deliver(&p->b, &p->a);
	assert_int_equal(p->a.n_data, 1);
	assert_true(knows_peer_at(&p->a, &p->b.address));
	assert_true(knows_peer_at(&p->b, &p->a.address));
}

static void without_data_a_keepalive_confirms_the_session(void **state)
{
	struct pair *p = *state;

	host_send(&p->a, true);
	p->a.staged = false;
	settle(&p->a, &p->b);
	assert_int_equal(p->b.n_data, 0);
	assert_int_equal(p->b.n_keepalives, 1);
	assert_non_null(wg_peer_sending_key(p->b.peer, fake_now));
}

static void a_packet_is_not_taken_twice(void **state)
{
	struct pair *p = *state;
	struct datagram copy;

	connect_pair(p);
	host_send(&p->a, true);
	copy = p->a.sent[0];
	settle(&p->a, &p->b);
	assert_false(deliver_one(&p->a, &p->b, &copy, false));
}

static void a_preshared_key_must_be_the_same(void **state)
{
	struct pair *p = *state;
	struct key preshared = {{1, 2, 3}}, none = {{0}};

	assert_int_equal(control_set_preshared(p->a.peer, &preshared), 0);
	host_send(&p->a, true);
	settle(&p->a, &p->b);
	assert_null(wg_peer_sending_key(p->a.peer, fake_now));
	assert_int_equal(p->a.wg.dropped.forged, 1);
	assert_int_equal(control_set_preshared(p->b.peer, &preshared), 0);
	pass(&p->a, &p->b, 6 * SECOND, false);
	assert_non_null(wg_peer_sending_key(p->a.peer, fake_now));
	assert_int_equal(control_set_preshared(p->a.peer, &none), 0);
	assert_null(p->a.peer->remote.preshared);
}

static void a_packet_put_aside_too_late_goes_without_another_handshake(void **state)
{
	struct pair *p = *state;

	connect_pair(p);
	/* A worker found no key, but before it asked the handshake was complete. */
	p->a.staged = true;
	wg_peer_request(&p->a.wg.inbox, p->a.peer, PEER_HANDSHAKE);
	run(&p->a);
	assert_int_equal(p->a.n_sent, 1);
	assert_int_equal(sent_type(&p->a, 0), MESSAGE_TRANSPORT);
	assert_false(p->a.peer->session->timers.retransmit_at);
}

static void both_may_begin_at_once(void **state)
{
	struct pair *p = *state;

	host_send(&p->a, true);
	host_send(&p->b, true);
	settle(&p->a, &p->b);
	assert_int_equal(p->a.n_data, 1);
	assert_int_equal(p->b.n_data, 1);
	for (int i = 0; i < 3; i++) {
		assert_true(host_send(&p->a, true));
		assert_true(host_send(&p->b, true));
		settle(&p->a, &p->b);
	}
	assert_int_equal(p->a.n_data, 4);
	assert_int_equal(p->b.n_data, 4);
}

/* --- Initiations --- */

static void a_replayed_initiation_is_not_answered(void **state)
{
	struct pair *p = *state;
	struct datagram copy;

	host_send(&p->a, true);
	run(&p->a);
	copy = p->a.sent[0];
	settle(&p->a, &p->b);
	fake_now += SECOND;
	deliver_one(&p->a, &p->b, &copy, false);
	assert_int_equal(p->b.n_sent, 0);
	assert_int_equal(p->b.wg.dropped.replayed, 1);
}

static void a_handshake_is_later_than_the_last_also_when_the_clock_was_set_back(void **state)
{
	struct pair *p = *state;

	connect_pair(p);
	clock_error_s = -3600;
	for (int i = 1; i < 4; i++) {
		pass(&p->a, &p->b, 200 * SECOND, true);
		connect_pair(p);
	}
	assert_int_equal(p->b.wg.dropped.replayed, 0);
}

/* The process of a has ended, and a new one has its key, its peers, and nothing else. */
static void begin_again(struct host *host)
{
	session_end(&host->wg, host->peer);
	host->wg.timestamps = (struct timestamps){0};
}

static void a_new_process_that_is_told_where_the_last_one_ended_is_answered(void **state)
{
	struct pair *p = *state;
	uint64_t floor_ns;

	connect_pair(p);
	floor_ns = fake_wall_ns();
	clock_error_s = -3600;
	begin_again(&p->a);
	host_send(&p->a, true);
	pass(&p->a, &p->b, 30 * SECOND, false);
	assert_null(wg_peer_sending_key(p->a.peer, fake_now));
	assert_true(p->b.wg.dropped.replayed > 0);
	begin_again(&p->a);
	timestamps_raise(&p->a.wg.timestamps, floor_ns, fake_now);
	connect_pair(p);
}

static void initiations_of_a_peer_that_come_too_fast_are_not_answered(void **state)
{
	struct pair *p = *state;
	struct datagram first, second;

	host_send(&p->a, true);
	run(&p->a);
	first = p->a.sent[0];
	lose(&p->a);
	pass(&p->a, &p->a, 5 * SECOND + 400, true);
	host_send(&p->a, true);
	run(&p->a);
	fake_now += 6 * SECOND;
	run(&p->a);
	second = p->a.sent[p->a.n_sent - 1];
	lose(&p->a);
	deliver_one(&p->a, &p->b, &first, false);
	assert_int_equal(p->b.n_sent, 1);
	deliver_one(&p->a, &p->b, &second, false);
	assert_int_equal(p->b.n_sent, 1);
	assert_int_equal(p->b.wg.dropped.limited, 1);
	fake_now += 100;
	deliver_one(&p->a, &p->b, &second, false);
	assert_int_equal(p->b.n_sent, 2);
	lose(&p->b);
}

static void initiations_of_nobody_are_not_answered(void **state)
{
	struct pair *p = *state;

	control_remove_peer(&p->b.wg, p->b.peer);
	p->b.peer = NULL;
	host_send(&p->a, true);
	settle(&p->a, &p->b);
	assert_int_equal(p->b.wg.dropped.unknown, 1);
	assert_int_equal(p->b.n_released, 1);
}

static void garbage_is_not_answered(void **state)
{
	struct pair *p = *state;
	uint8_t bytes[200];

	for (int i = 0; i < 2000; i++) {
		size_t length = (size_t)i % sizeof bytes;

		noise_random(bytes, sizeof bytes);
		memset(bytes, 0, 4);
		bytes[0] = (uint8_t)(i % 5);
		if (i % 3 == 0)
			length = (size_t[]){148, 92, 64}[i / 3 % 3];
		assert_false(host_handshake(&p->b, bytes, length, &p->a.address, i % 2));
		/* not even what passed the mac1 filter would be answered */
		handshake_receive(&p->b.wg, bytes, length, &p->a.address, false);
	}
	run(&p->b);
	assert_int_equal(p->b.n_sent, 0);
	assert_int_equal(p->b.wg.indices.count, 0);
	assert_int_equal(p->b.wg.n_sessions, 0);
}

static void the_filter_passes_what_knows_our_key_or_answers_us(void **state)
{
	struct pair *p = *state;
	struct datagram initiation, response;

	host_send(&p->a, true);
	run(&p->a);
	initiation = p->a.sent[0];
	/* of every byte that mac1 covers, and of mac1 itself */
	for (size_t i = 0; i < initiation.length - BLAKE2S_MAC_SIZE; i++) {
		struct datagram changed = initiation;

		changed.bytes[i] ^= 1;
		assert_false(mac1_filter_passes(
			&p->b.wg.filter, p->b.blake2s, changed.bytes, changed.length));
	}
	assert_true(mac1_filter_passes(
		&p->b.wg.filter, p->b.blake2s, initiation.bytes, initiation.length));
	assert_false(mac1_filter_passes(
		&p->a.wg.filter, p->a.blake2s, initiation.bytes, initiation.length));
	deliver(&p->a, &p->b);
	response = p->b.sent[0];
	settle(&p->a, &p->b);
	/* answered already */
	assert_false(deliver_one(&p->b, &p->a, &response, false));
}

static void the_filter_changes_with_our_key(void **state)
{
	struct pair *p = *state;
	struct key private_key;

	host_send(&p->a, true);
	run(&p->a);
	assert_int_equal(key_generate_private(&private_key), 0);
	assert_int_equal(control_set_private_key(&p->b.wg, &private_key), 0);
	assert_false(deliver_one(&p->a, &p->b, &p->a.sent[0], false));
	lose(&p->a);
}

static void a_device_that_is_down_says_nothing(void **state)
{
	struct pair *p = *state;

	control_set_up(&p->b.wg, false);
	host_send(&p->a, true);
	settle(&p->a, &p->b);
	assert_null(p->b.peer->session);
	host_send(&p->b, true);
	run(&p->b);
	assert_int_equal(p->b.n_sent, 0);
	control_set_up(&p->b.wg, true);
	pass(&p->a, &p->b, 6 * SECOND, false);
	assert_non_null(wg_peer_sending_key(p->a.peer, fake_now));
	control_set_up(&p->a.wg, false);
	assert_null(p->a.peer->session);
}

/* Data may come before the configuration says where the peer is. */
static void an_initiation_that_had_nowhere_to_go_is_sent_as_soon_as_it_has(void **state)
{
	struct pair *p = *state;

	host_send(&p->a, true);
	run(&p->a);
	lose(&p->a);
	fake_now += 10;
	run(&p->a);
	assert_int_equal(p->a.n_sent, 0);
	peer_address_set(&p->a.peer->address, &p->b.address);
	assert_int_equal(control_set_persistent(&p->a.wg, p->a.peer, 1), 0);
	assert_int_equal(control_set_persistent(&p->a.wg, p->a.peer, 0), 0);
	assert_int_equal(p->a.n_sent, 1);
	assert_int_equal(sent_type(&p->a, 0), MESSAGE_INITIATION);
	/* One that was sent is not sent again before its time. */
	lose(&p->a);
	host_send(&p->a, true);
	run(&p->a);
	assert_int_equal(p->a.n_sent, 0);
	pass(&p->a, &p->b, 6 * SECOND, false);
	assert_int_equal(p->b.n_data, 1);
}

/* --- Load --- */

static void under_load_only_who_has_a_cookie_is_answered(void **state)
{
	struct pair *p = *state;
	struct datagram initiation;

	host_send(&p->a, true);
	run(&p->a);
	initiation = p->a.sent[0];
	lose(&p->a);
	deliver_one(&p->a, &p->b, &initiation, true);
	assert_int_equal(p->b.n_sent, 1);
	assert_int_equal(sent_type(&p->b, 0), MESSAGE_COOKIE);
	assert_null(p->b.peer->session);
	assert_int_equal(p->b.wg.dropped.cookies, 1);
	deliver(&p->b, &p->a);
	/* The cookie is for the next try, not at once. */
	assert_int_equal(p->a.n_sent, 0);
	fake_now += 6 * SECOND;
	run(&p->a);
	initiation = p->a.sent[0];
	lose(&p->a);
	deliver_one(&p->a, &p->b, &initiation, true);
	assert_int_equal(sent_type(&p->b, 0), MESSAGE_RESPONSE);
	settle(&p->a, &p->b);
	assert_non_null(wg_peer_sending_key(p->a.peer, fake_now));
}

static void under_load_the_first_answer_to_an_initiation_needs_no_cookie(void **state)
{
	struct pair *p = *state;
	struct datagram response;

	host_send(&p->a, true);
	run(&p->a);
	deliver(&p->a, &p->b);
	response = p->b.sent[0];
	lose(&p->b);
	deliver_one(&p->b, &p->a, &response, true);
	settle(&p->a, &p->b);
	assert_non_null(wg_peer_sending_key(p->a.peer, fake_now));
	assert_int_equal(p->a.wg.dropped.cookies, 0);
}

/* The first answer, of somebody who knows the index and the public key alone. */
static void answer_falsely(struct pair *p, const struct datagram *response)
{
	struct datagram forged = *response;
	struct cookie_jar jar = {0};
	struct cookie_keys keys;

	forged.bytes[offsetof(struct message_response, sealed_nothing)]++;
	assert_int_equal(cookie_keys_init(&keys, p->b.blake2s, &p->a.wg.noise.public_key), 0);
	assert_int_equal(
		cookie_add_macs(&jar, &keys, p->b.blake2s, forged.bytes, forged.length, fake_now),
		0);
	deliver_one(&p->b, &p->a, &forged, true);
	assert_int_equal(p->a.wg.dropped.forged, 1);
	assert_int_equal(p->a.n_sent, 0);
}

static void a_responder_too_can_be_asked_for_a_cookie(void **state)
{
	struct pair *p = *state;
	struct datagram response;

	host_send(&p->a, true);
	run(&p->a);
	deliver(&p->a, &p->b);
	response = p->b.sent[0];
	lose(&p->b);
	answer_falsely(p, &response);
	deliver_one(&p->b, &p->a, &response, true);
	assert_int_equal(sent_type(&p->a, 0), MESSAGE_COOKIE);
	deliver(&p->a, &p->b);
	assert_true(p->b.peer->session->jar.has_cookie);
	fake_now += 6 * SECOND;
	run(&p->a);
	deliver(&p->a, &p->b);
	response = p->b.sent[0];
	lose(&p->b);
	deliver_one(&p->b, &p->a, &response, true);
	settle(&p->a, &p->b);
	assert_non_null(wg_peer_sending_key(p->a.peer, fake_now));
}

static void under_load_a_source_with_a_cookie_is_limited(void **state)
{
	struct pair *p = *state;
	struct datagram initiation;

	/* The same message again and again: it stops at the limit before it is found replayed. */
	host_send(&p->a, true);
	run(&p->a);
	deliver_one(&p->a, &p->b, &p->a.sent[0], true);
	lose(&p->a);
	deliver(&p->b, &p->a);
	fake_now += 6 * SECOND;
	run(&p->a);
	initiation = p->a.sent[0];
	lose(&p->a);
	for (int i = 0; i < 50; i++)
		deliver_one(&p->a, &p->b, &initiation, true);
	assert_int_equal(p->b.wg.dropped.replayed, RATELIMITER_BURST - 1);
	assert_int_equal(p->b.wg.dropped.limited, 50 - RATELIMITER_BURST);
	assert_int_equal(p->b.n_sent, 1);
	lose(&p->b);
}

/* --- Time --- */

static void without_an_answer_it_gives_up_after_90_s(void **state)
{
	struct pair *p = *state;

	host_send(&p->a, true);
	pass(&p->a, &p->b, 89 * SECOND, true);
	assert_true(p->a.staged);
	assert_int_equal(p->a.n_gave_up, 0);
	pass(&p->a, &p->b, 8 * SECOND, true);
	assert_int_equal(p->a.n_gave_up, 1);
	assert_false(p->a.staged);
	/* Nothing is kept of it, and later data begins anew. */
	assert_null(p->a.peer->session);
	assert_int_equal(p->a.wg.indices.count, 0);
	host_send(&p->a, true);
	settle(&p->a, &p->b);
	assert_int_equal(p->b.n_data, 1);
}

static void a_session_in_use_is_renewed_and_no_packet_waits(void **state)
{
	struct pair *p = *state;
	struct keypair *first;
	int n = 0;

	connect_pair(p);
	first = wg_peer_sending_key(p->a.peer, fake_now);
	p->a.n_data = p->b.n_data = 0;
	for (int i = 0; i < 400; i++) {
		assert_true(host_send(&p->a, true));
		assert_true(host_send(&p->b, true));
		n++;
		settle(&p->a, &p->b);
		pass(&p->a, &p->b, SECOND, false);
		if (i == 118)
			assert_ptr_equal(wg_peer_sending_key(p->a.peer, fake_now), first);
		if (i == 122)
			assert_ptr_not_equal(wg_peer_sending_key(p->a.peer, fake_now), first);
	}
	assert_int_equal(p->a.n_data, n);
	assert_int_equal(p->b.n_data, n);
	/* Once about every 120 s, by the initiator. */
	assert_in_range(p->b.n_ready, 4, 4);
}

static void an_initiator_that_only_receives_renews_before_the_key_ends(void **state)
{
	struct pair *p = *state;
	int before;

	connect_pair(p);
	before = p->a.n_data;
	for (int i = 0; i < 300; i++) {
		assert_true(host_send(&p->b, true));
		settle(&p->a, &p->b);
		pass(&p->a, &p->b, SECOND, false);
	}
	assert_int_equal(p->a.n_data, before + 300);
}

static void a_peer_that_has_forgotten_us_is_asked_anew(void **state)
{
	struct pair *p = *state;

	connect_pair(p);
	/* The other side has restarted: no sessions, the same key. */
	control_set_up(&p->b.wg, false);
	control_set_up(&p->b.wg, true);
	assert_true(host_send(&p->a, true));
	settle(&p->a, &p->b);
	assert_null(wg_peer_sending_key(p->b.peer, fake_now));
	pass(&p->a, &p->b, 14 * SECOND, false);
	assert_null(wg_peer_sending_key(p->b.peer, fake_now));
	pass(&p->a, &p->b, 2 * SECOND, false);
	assert_non_null(wg_peer_sending_key(p->b.peer, fake_now));
}

static void received_data_is_answered_by_a_keepalive_once(void **state)
{
	struct pair *p = *state;
	int before;

	connect_pair(p);
	before = p->a.n_keepalives;
	pass(&p->a, &p->b, 11 * SECOND, false);
	assert_int_equal(p->a.n_keepalives, before + 1);
	pass(&p->a, &p->b, 60 * SECOND, false);
	assert_int_equal(p->a.n_keepalives, before + 1);
}

static void an_idle_peer_keeps_no_keys_and_no_memory(void **state)
{
	struct pair *p = *state;

	connect_pair(p);
	pass(&p->a, &p->b, 539 * SECOND, false);
	assert_non_null(p->a.peer->session);
	assert_null(wg_peer_sending_key(p->a.peer, fake_now));
	pass(&p->a, &p->b, 15 * SECOND, false);
	assert_null(p->a.peer->session);
	assert_null(p->b.peer->session);
	assert_int_equal(p->a.wg.indices.count, 0);
	assert_int_equal(p->a.epoch.n_retired, 0);
	assert_true(control_deadline(&p->a.wg) == DEADLINE_NEVER);
}

static void persistent_keepalives_keep_a_session_alive(void **state)
{
	struct pair *p = *state;
	int before;

	assert_int_equal(control_set_persistent(&p->a.wg, p->a.peer, 25), 0);
	settle(&p->a, &p->b);
	assert_non_null(wg_peer_sending_key(p->b.peer, fake_now));
	before = p->b.n_keepalives;
	pass(&p->a, &p->b, 100 * SECOND, false);
	assert_int_equal(p->b.n_keepalives, before + 4);
	pass(&p->a, &p->b, 1000 * SECOND, false);
	assert_non_null(wg_peer_sending_key(p->a.peer, fake_now));
	assert_int_equal(control_set_persistent(&p->a.wg, p->a.peer, 0), 0);
	pass(&p->a, &p->b, 1000 * SECOND, false);
	assert_null(p->a.peer->session);
}

static void persistent_keepalives_never_give_up(void **state)
{
	struct pair *p = *state;

	control_set_persistent(&p->a.wg, p->a.peer, 25);
	pass(&p->a, &p->b, 1000 * SECOND, true);
	assert_true(p->a.n_gave_up > 1);
	pass(&p->a, &p->b, 31 * SECOND, false);
	assert_non_null(wg_peer_sending_key(p->b.peer, fake_now));
}

/* --- Configuration --- */

static void a_new_private_key_ends_all_sessions(void **state)
{
	struct pair *p = *state;
	struct key private_key, none = {{0}};

	connect_pair(p);
	key_generate_private(&private_key);
	assert_int_equal(control_set_private_key(&p->a.wg, &private_key), 0);
	assert_null(p->a.peer->session);
	host_send(&p->a, true);
	settle(&p->a, &p->b);
	assert_null(wg_peer_sending_key(p->a.peer, fake_now)); /* nobody knows it */
	assert_int_equal(control_set_private_key(&p->a.wg, &none), 0);
	assert_null(p->a.peer->session);
	host_send(&p->a, true);
	run(&p->a);
	assert_int_equal(p->a.n_sent, 0);
}

static void a_removed_peer_is_released_when_no_worker_holds_it(void **state)
{
	struct pair *p = *state;
	struct wg_peer *peer = p->a.peer;

	connect_pair(p);
	epoch_online(&p->a.epoch, 0);
	control_remove_peer(&p->a.wg, peer);
	p->a.peer = NULL;
	run(&p->a);
	assert_int_equal(p->a.n_released, 0);
	/* A worker that still holds it asks for something. */
	wg_peer_request(&p->a.wg.inbox, peer, PEER_HANDSHAKE);
	epoch_offline(&p->a.epoch, 0);
	epoch_online(&p->a.epoch, 0);
	epoch_reclaim(&p->a.epoch);
	assert_int_equal(p->a.n_released, 0);
	run(&p->a);
	assert_int_equal(p->a.n_released, 1);
	epoch_offline(&p->a.epoch, 0);
}

static void a_peer_is_there_once(void **state)
{
	struct pair *p = *state;
	struct wg_peer second = {0};

	assert_int_equal(control_add_peer(&p->a.wg, &second, &p->b.wg.noise.public_key), -EEXIST);
}

static void our_own_key_is_no_peer(void **state)
{
	struct pair *p = *state;
	struct wg_peer *self = calloc(1, sizeof(*self)), *other = p->a.peer;

	assert_int_equal(control_add_peer(&p->a.wg, self, &p->a.wg.noise.public_key), 0);
	p->a.peer = self;
	host_send(&p->a, true);
	run(&p->a);
	deliver(&p->a, &p->a);
	assert_int_equal(p->a.n_sent, 0);
	assert_int_equal(p->a.wg.dropped.unknown, 1);
	control_remove_peer(&p->a.wg, self);
	p->a.peer = other;
}

static void after_a_suspension_old_keys_are_gone_and_a_handshake_begins(void **state)
{
	struct pair *p = *state;

	connect_pair(p);
	p->a.n_sent = p->b.n_sent = 0;
	fake_now += REJECT_AFTER_TIME_MS;
	control_resume(&p->a.wg);
	assert_null(atomic_load(&session_of(p->a.peer)->keypairs.current));
	assert_int_equal(p->a.n_sent, 1);
	assert_int_equal(sent_type(&p->a, 0), MESSAGE_INITIATION);
	settle(&p->a, &p->b);
	assert_non_null(wg_peer_sending_key(p->a.peer, fake_now));
}

static void after_a_suspension_young_keys_carry_on_until_the_handshake_is_done(void **state)
{
	struct pair *p = *state;

	connect_pair(p);
	p->a.n_sent = p->b.n_sent = 0;
	fake_now += 60 * SECOND;
	control_resume(&p->a.wg);
	assert_int_equal(sent_type(&p->a, 0), MESSAGE_INITIATION);
	assert_true(host_send(&p->a, true));
}

static void a_handshake_that_a_suspension_interrupts_is_not_given_up(void **state)
{
	struct pair *p = *state;

	host_send(&p->a, true);
	run(&p->a);
	lose(&p->a);
	fake_now += REKEY_ATTEMPT_TIME_MS + SECOND;
	control_resume(&p->a.wg);
	settle(&p->a, &p->b);
	assert_int_equal(p->a.n_gave_up, 0);
	assert_int_equal(p->b.n_data, 1);
}

static void after_a_suspension_an_idle_peer_is_left_alone(void **state)
{
	struct pair *p = *state;

	fake_now += 60 * SECOND;
	control_resume(&p->a.wg);
	assert_int_equal(p->a.n_sent, 0);
}

/* As if the other host had been heard at this address of ours. */
static void hear_at(struct host *host, const char *address)
{
	struct udp_endpoint endpoint;

	peer_address_get(&host->peer->address, &endpoint);
	endpoint.family = AF_INET;
	inet_pton(AF_INET, address, &endpoint.local4);
	endpoint.interface = 2;
	peer_address_update(&host->peer->address, &endpoint);
}

static bool knows_source(const struct host *host)
{
	struct udp_endpoint endpoint;

	peer_address_get(&host->peer->address, &endpoint);
	assert_int_equal(endpoint.family, AF_INET);
	return udp_endpoint_has_source(&endpoint) && endpoint.interface != 0;
}

static void a_handshake_that_is_sent_again_forgets_the_source(void **state)
{
	struct pair *p = *state;

	hear_at(&p->a, "192.0.2.1");
	host_send(&p->a, true);
	run(&p->a);
	lose(&p->a);
	assert_true(knows_source(&p->a));
	pass(&p->a, &p->b, REKEY_TIMEOUT_MS + REKEY_TIMEOUT_JITTER_MS, true);
	assert_false(knows_source(&p->a));
}

static void data_without_an_answer_forgets_the_source_after_15_s(void **state)
{
	struct pair *p = *state;

	connect_pair(p);
	hear_at(&p->a, "192.0.2.1");
	host_send(&p->a, true);
	pass(&p->a, &p->b, 14 * SECOND, true);
	assert_true(knows_source(&p->a));
	pass(&p->a, &p->b, SECOND + REKEY_TIMEOUT_JITTER_MS, true);
	assert_false(knows_source(&p->a));
}

static void a_source_is_judged_anew_for_each_address_and_each_change_of_routes(void **state)
{
	struct pair *p = *state;
	struct peer_address *address = &p->a.peer->address;
	struct udp_endpoint endpoint;
	uint32_t version;

	hear_at(&p->a, "192.0.2.1");
	version = peer_address_get(address, &endpoint);
	assert_int_equal(peer_address_judgement(address, version, 7), SOURCE_NOT_JUDGED);
	peer_address_judge(address, version, 7, true);
	assert_int_equal(peer_address_judgement(address, version, 7), SOURCE_KEPT);
	assert_int_equal(peer_address_judgement(address, version, 8), SOURCE_NOT_JUDGED);
	peer_address_judge(address, version, 8, false);
	assert_int_equal(peer_address_judgement(address, version, 8), SOURCE_REFUSED);
	hear_at(&p->a, "192.0.2.1"); /* the same */
	assert_int_equal(peer_address_get(address, &endpoint), version);
	hear_at(&p->a, "192.0.2.2");
	version = peer_address_get(address, &endpoint);
	assert_int_equal(peer_address_judgement(address, version, 8), SOURCE_NOT_JUDGED);
}

static void an_idle_peer_is_small(void **state)
{
	(void)state;
	assert_true(sizeof(struct wg_peer) <= 280);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(the_first_packet_waits_for_the_handshake_and_then_goes),
		test(without_data_a_keepalive_confirms_the_session),
		test(a_packet_is_not_taken_twice),
		test(a_preshared_key_must_be_the_same),
		test(a_packet_put_aside_too_late_goes_without_another_handshake),
		test(both_may_begin_at_once),
		test(a_replayed_initiation_is_not_answered),
		test(a_handshake_is_later_than_the_last_also_when_the_clock_was_set_back),
		test(a_new_process_that_is_told_where_the_last_one_ended_is_answered),
		test(initiations_of_a_peer_that_come_too_fast_are_not_answered),
		test(initiations_of_nobody_are_not_answered),
		test(garbage_is_not_answered),
		test(the_filter_passes_what_knows_our_key_or_answers_us),
		test(the_filter_changes_with_our_key),
		test(a_device_that_is_down_says_nothing),
		test(an_initiation_that_had_nowhere_to_go_is_sent_as_soon_as_it_has),
		test(under_load_only_who_has_a_cookie_is_answered),
		test(under_load_the_first_answer_to_an_initiation_needs_no_cookie),
		test(a_responder_too_can_be_asked_for_a_cookie),
		test(under_load_a_source_with_a_cookie_is_limited),
		test(without_an_answer_it_gives_up_after_90_s),
		test(a_session_in_use_is_renewed_and_no_packet_waits),
		test(an_initiator_that_only_receives_renews_before_the_key_ends),
		test(a_peer_that_has_forgotten_us_is_asked_anew),
		test(received_data_is_answered_by_a_keepalive_once),
		test(an_idle_peer_keeps_no_keys_and_no_memory),
		test(persistent_keepalives_keep_a_session_alive),
		test(persistent_keepalives_never_give_up),
		test(a_new_private_key_ends_all_sessions),
		test(a_removed_peer_is_released_when_no_worker_holds_it),
		test(a_peer_is_there_once),
		test(our_own_key_is_no_peer),
		test(after_a_suspension_old_keys_are_gone_and_a_handshake_begins),
		test(after_a_suspension_young_keys_carry_on_until_the_handshake_is_done),
		test(a_handshake_that_a_suspension_interrupts_is_not_given_up),
		test(after_a_suspension_an_idle_peer_is_left_alone),
		test(a_handshake_that_is_sent_again_forgets_the_source),
		test(data_without_an_answer_forgets_the_source_after_15_s),
		test(a_source_is_judged_anew_for_each_address_and_each_change_of_routes),
		test(an_idle_peer_is_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
