#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "fake_plane.h"
#include "server/adoption.h"
#include "server/audit.h"
#include "server/endpoint.h"
#include "server/handshake_floor.h"
#include "server/heal.h"
#include "server/inspection.h"
#include "server/newcomers.h"
#include "server/peer_walk.h"
#include "server/pending_connects.h"
#include "server/promised.h"
#include "server/removals.h"
#include "server/rest.h"
#include "server/usage.h"
#include "server/requests.h"
#include "server/restoration.h"
#include "server/rival.h"
#include "server/silence.h"
#include "server/store_link.h"

enum {
	MAX_ANSWERS = 128,
	IDLE_MS = 300 * 1000,
	GRACE_MS = 60 * 1000,
};

static const struct idle_rule rule = {IDLE_MS, GRACE_MS};

struct test_clock {
	struct clock clock; /* first */
	uint64_t ms;
};

static uint64_t now_ms(const struct clock *clock)
{
	return ((const struct test_clock *)clock)->ms;
}

struct answers {
	enum ipc_status status[MAX_ANSWERS];
	struct ipv4 address[MAX_ANSWERS];
	size_t n;
};

static void note_answer(
	void *context, const struct reply_to *to, enum ipc_status status, struct ipv4 address)
{
	struct answers *answers = context;

	(void)to;
	answers->status[answers->n] = status;
	answers->address[answers->n++] = address;
}

struct fixture {
	struct fake_plane fake;
	struct test_clock clock;
	struct answers answers;
	struct endpoint endpoint;
};

static void describe_endpoint(struct fixture *f)
{
	struct endpoint *endpoint = &f->endpoint;

	*endpoint = (struct endpoint){
		.config = {.bind = {0xcb007101}},
		.public_key = {{0xff, 1}},
		.plane = &f->fake.plane,
		.clock = &f->clock.clock,
		.answer = note_answer,
		.answer_context = &f->answers,
	};
	prefix_parse("10.0.0.0/29", &endpoint->config.block);
	endpoint->config.gateway = pool_gateway(endpoint->config.block);
}

static void open_endpoint(struct fixture *f)
{
	describe_endpoint(f);
	assert_int_equal(endpoint_open(&f->endpoint, NULL), 0);
}

static int setup(void **state)
{
	static struct fixture f;

	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "test");
	f = (struct fixture){.clock = {{now_ms}, 1000 * 1000}};
	fake_plane_init(&f.fake);
	open_endpoint(&f);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	endpoint_close(&f->endpoint, false);
	return 0;
}

static void request_from(
	struct fixture *f, enum ipc_operation operation, uint32_t who, uint32_t source)
{
	const struct reply_to reply_to = {0};
	struct client_request r = {.operation = operation, .source = {source}};

	if (operation == IPC_CONNECT_WIREGUARD || operation == IPC_DISCONNECT_WIREGUARD)
		r.key.bytes[0] = (uint8_t)who, r.key.bytes[1] = 1; /* of no low order */
	endpoint_handle(&f->endpoint, &r, &reply_to);
}

static void connect_named(struct fixture *f, const char *name, uint32_t who)
{
	struct client_request r = {
		.operation = IPC_CONNECT_WIREGUARD, .source = {who}, .key = {{(uint8_t)who, 1}}};

	assert_int_equal(client_name_parse(name, &r.name), 0);
	endpoint_handle(&f->endpoint, &r, &(struct reply_to){0});
}

static void request(struct fixture *f, enum ipc_operation operation, uint32_t who)
{
	request_from(f, operation, who, who);
}

/* Sends a request that is answered at once. */
static enum ipc_status ask(struct fixture *f, enum ipc_operation operation, uint32_t who)
{
	f->answers.n = 0;
	request(f, operation, who);
	assert_int_equal(f->answers.n, 1);
	return f->answers.status[0];
}

static struct ipv4 connect_as(struct fixture *f, enum ipc_operation operation, uint32_t who)
{
	assert_int_equal(ask(f, operation, who), IPC_OK);
	return f->answers.address[0];
}

/* Inspects the endpoint and removes whom it finds idle; returns how many are left. */
static size_t inspect(struct fixture *f)
{
	endpoint_inspect(&f->endpoint, &rule);
	while (removals_flush(&f->endpoint.removals)) {
	}
	return peers_count(&f->endpoint.peers);
}

static void pass_over(void *context, struct ipv4 address)
{
	(void)context;
	(void)address;
}

/* What a purge of flows does when it is through. */
static void free_addresses(struct fixture *f)
{
	pool_begin_purge(f->endpoint.pool, pass_over, NULL);
	pool_end_purge(f->endpoint.pool, NULL, NULL);
	endpoint_serve_pending(&f->endpoint);
}

static void fill(struct fixture *f)
{
	for (uint32_t i = 1; i <= 5; i++)
		connect_as(f, IPC_CONNECT_IPIP, i);
}

static void disconnect(struct fixture *f, uint32_t who)
{
	request(f, IPC_DISCONNECT_IPIP, who);
	removals_flush(&f->endpoint.removals);
	f->answers.n = 0;
}

static void both_kinds_draw_from_one_pool(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(ipv4_text(connect_as(f, IPC_CONNECT_WIREGUARD, 1)).s, "10.0.0.2");
	assert_string_equal(ipv4_text(connect_as(f, IPC_CONNECT_IPIP, 1)).s, "10.0.0.3");
	assert_string_equal(ipv4_text(connect_as(f, IPC_CONNECT_WIREGUARD, 2)).s, "10.0.0.4");
}

static void the_same_peer_gets_the_same_address_again(void **state)
{
	struct fixture *f = *state;
	struct ipv4 wireguard = connect_as(f, IPC_CONNECT_WIREGUARD, 1);
	struct ipv4 ipip = connect_as(f, IPC_CONNECT_IPIP, 1);

	assert_true(ipv4_equal(connect_as(f, IPC_CONNECT_WIREGUARD, 1), wireguard));
	assert_true(ipv4_equal(connect_as(f, IPC_CONNECT_IPIP, 1), ipip));
	assert_int_equal(pool_taken(f->endpoint.pool), 2);
}

static void a_failed_connect_takes_no_address(void **state)
{
	struct fixture *f = *state;

	f->fake.add_error = -EPERM;
	assert_int_equal(ask(f, IPC_CONNECT_WIREGUARD, 1), IPC_FAILED);
	assert_int_equal(ask(f, IPC_CONNECT_IPIP, 1), IPC_FAILED);
	removals_flush(&f->endpoint.removals);
	assert_int_equal(pool_taken(f->endpoint.pool), 0);
	assert_int_equal(peers_count(&f->endpoint.peers), 0);
}

static void what_a_device_may_have_made_too_late_is_gone_before_its_address_is_free(void **state)
{
	struct fixture *f = *state;

	f->fake.adds_late = true;
	f->fake.add_error = f->fake.remove_error = f->fake.dump_error = -ETIMEDOUT;
	assert_int_equal(ask(f, IPC_CONNECT_WIREGUARD, 1), IPC_FAILED);
	assert_false(removals_flush(&f->endpoint.removals));
	assert_int_equal(inspect(f), 1);
	assert_int_equal(pool_taken(f->endpoint.pool), f->fake.n_peers);
	f->fake.dump_error = 0;
	assert_int_equal(inspect(f), 1);
	assert_int_equal(pool_taken(f->endpoint.pool), f->fake.n_peers);
	f->fake.remove_error = 0;
	assert_int_equal(inspect(f), 0);
	assert_int_equal(f->fake.n_peers, 0);
	assert_int_equal(pool_taken(f->endpoint.pool), 0);
}

static void who_asks_again_for_what_could_not_be_made_gets_the_same_address(void **state)
{
	struct fixture *f = *state;

	f->fake.add_error = -ETIMEDOUT;
	assert_int_equal(ask(f, IPC_CONNECT_WIREGUARD, 1), IPC_FAILED);
	f->fake.add_error = 0;
	assert_string_equal(ipv4_text(connect_as(f, IPC_CONNECT_WIREGUARD, 1)).s, "10.0.0.2");
	assert_int_equal(inspect(f), 1);
}

/* A WireGuard peer, by its number. */
static enum ipc_status connect_from(struct fixture *f, uint32_t who, uint32_t source)
{
	f->answers.n = 0;
	request_from(f, IPC_CONNECT_WIREGUARD, who, source);
	return f->answers.status[0];
}

/* The block has five addresses: 80% are four, half are three. */
static void the_last_addresses_are_not_for_a_source_that_has_half_of_all(void **state)
{
	struct fixture *f = *state;

	for (uint32_t i = 1; i <= 4; i++)
		assert_int_equal(connect_from(f, i, 100), IPC_OK);
	assert_int_equal(connect_from(f, 5, 100), IPC_TOO_MANY_PEERS);
	assert_int_equal(pool_taken(f->endpoint.pool), 4);
	assert_int_equal(connect_from(f, 4, 100), IPC_OK); /* who is there is not limited */
	assert_int_equal(connect_from(f, 5, 101), IPC_OK);
	assert_int_equal(connect_from(f, 6, 100), IPC_TOO_MANY_PEERS);
	assert_int_equal(connect_from(f, 6, 101), IPC_POOL_EXHAUSTED);
	assert_int_equal(connect_from(f, 1, 100), IPC_OK);
}

static void a_peer_counts_for_the_address_that_asked_last(void **state)
{
	struct fixture *f = *state;

	for (uint32_t i = 1; i <= 4; i++)
		assert_int_equal(connect_from(f, i, 100), IPC_OK);
	connect_from(f, 1, 101);
	connect_from(f, 2, 102);
	assert_int_equal(peer_sources_count(&f->endpoint.peers.sources, (struct ipv4){100}), 2);
	assert_int_equal(connect_from(f, 5, 100), IPC_OK);
	request_from(f, IPC_DISCONNECT_WIREGUARD, 5, 100);
	request_from(f, IPC_DISCONNECT_WIREGUARD, 4, 100);
	request_from(f, IPC_DISCONNECT_WIREGUARD, 3, 100);
	removals_flush(&f->endpoint.removals);
	assert_int_equal(peer_sources_count(&f->endpoint.peers.sources, (struct ipv4){100}), 0);
	assert_int_equal(f->endpoint.peers.sources.table.count, 2);
}

static void the_share_of_a_source_can_be_set(void **state)
{
	struct fixture *f = *state;

	f->endpoint.max_peers_per_source = 5;
	for (uint32_t i = 1; i <= 5; i++)
		assert_int_equal(connect_from(f, i, 100), IPC_OK);
	assert_int_equal(connect_from(f, 6, 100), IPC_TOO_MANY_PEERS);
}

static void what_is_adopted_counts_for_where_it_is(void **state)
{
	struct fixture *f = *state;

	connect_as(f, IPC_CONNECT_IPIP, 7);
	connect_as(f, IPC_CONNECT_IPIP, 8);
	endpoint_close(&f->endpoint, true);
	open_endpoint(f);
	assert_int_equal(peer_sources_count(&f->endpoint.peers.sources, (struct ipv4){7}), 1);
	assert_int_equal(f->endpoint.peers.sources.table.count, 2);
}

static void a_used_up_block_is_said_and_recovers(void **state)
{
	struct fixture *f = *state;

	for (uint32_t i = 1; i <= 5; i++)
		connect_as(f, IPC_CONNECT_IPIP, i);
	assert_int_equal(ask(f, IPC_CONNECT_IPIP, 6), IPC_POOL_EXHAUSTED);
	request(f, IPC_DISCONNECT_IPIP, 3);
	removals_flush(&f->endpoint.removals);
	free_addresses(f);
	assert_string_equal(ipv4_text(connect_as(f, IPC_CONNECT_IPIP, 6)).s, "10.0.0.4");
}

/* How many lines of the log name this peer while each of its n requests is refused. */
static size_t lines_about(struct fixture *f, enum ipc_operation operation, uint32_t who, int n)
{
	static char text[65536];
	const struct plane_peer peer = {.kind = PEER_IPIP, .remote = {who}};
	int ends[2], saved = dup(STDERR_FILENO);
	size_t lines = 0;
	ssize_t length;

	assert_int_equal(pipe(ends), 0);
	log_setup(LOG_LEVEL_WARNING, LOG_FORMAT_TEXT, "test");
	dup2(ends[1], STDERR_FILENO);
	for (int i = 0; i < n; i++) {
		request(f, operation, who);
		if (operation == IPC_DISCONNECT_IPIP)
			removals_flush(&f->endpoint.removals);
	}
	dup2(saved, STDERR_FILENO);
	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "test");
	close(saved);
	close(ends[1]);
	length = read(ends[0], text, sizeof text - 1);
	close(ends[0]);
	text[length > 0 ? length : 0] = '\0';
	for (const char *at = text; (at = strstr(at, peer_text(&peer).s)); at++)
		lines++;
	return lines;
}

static uint64_t log_bucket(const struct fixture *f, uint32_t who)
{
	const struct ipv4 source = {who};

	return hash_bytes(&f->endpoint.peers.table, &source, sizeof source) % LOG_LIMIT_SOURCES;
}

/* One whose lines are not counted with those of who, as those of one in LOG_LIMIT_SOURCES are. */
static uint32_t other_than(const struct fixture *f, uint32_t who)
{
	uint32_t other = who + 1;

	while (log_bucket(f, other) == log_bucket(f, who))
		other++;
	return other;
}

static void refused_requests_of_one_source_neither_flood_the_log_nor_hide_another(void **state)
{
	struct fixture *f = *state;

	for (uint32_t i = 1; i <= 5; i++)
		connect_as(f, IPC_CONNECT_IPIP, i);
	assert_int_equal(lines_about(f, IPC_CONNECT_IPIP, 60, 20), LOG_LIMIT_LINES);
	assert_int_equal(lines_about(f, IPC_CONNECT_IPIP, other_than(f, 60), 1), 1);
	f->clock.ms += LOG_LIMIT_WINDOW_MS;
	assert_int_equal(lines_about(f, IPC_CONNECT_IPIP, 60, 1), 1);
}

static void what_cannot_be_made_or_removed_does_not_flood_the_log_either(void **state)
{
	struct fixture *f = *state;

	connect_as(f, IPC_CONNECT_IPIP, 50);
	f->fake.remove_error = -EPERM;
	assert_int_equal(lines_about(f, IPC_DISCONNECT_IPIP, 50, 20), LOG_LIMIT_LINES);
	f->fake.remove_error = 0;
	f->fake.add_error = -EPERM;
	assert_int_equal(lines_about(f, IPC_CONNECT_IPIP, other_than(f, 50), 20), LOG_LIMIT_LINES);
}

static void a_request_waits_while_the_only_address_is_being_freed(void **state)
{
	struct fixture *f = *state;

	fill(f);
	disconnect(f, 3);
	request(f, IPC_CONNECT_IPIP, 6);
	request(f, IPC_CONNECT_WIREGUARD, 7);
	request(f, IPC_CONNECT_IPIP, 6);
	assert_int_equal(f->answers.n, 0);
	pool_begin_purge(f->endpoint.pool, pass_over, NULL);
	disconnect(f, 1);
	pool_end_purge(f->endpoint.pool, NULL, NULL);
	endpoint_serve_pending(&f->endpoint);
	/* The same client's second request gets what its first one got. */
	assert_int_equal(f->answers.n, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(f->answers.status[i], IPC_OK);
		assert_string_equal(ipv4_text(f->answers.address[i]).s, "10.0.0.4");
	}
	free_addresses(f);
	assert_int_equal(f->answers.n, 3);
	assert_int_equal(f->answers.status[2], IPC_OK);
	assert_string_equal(ipv4_text(f->answers.address[2]).s, "10.0.0.2");
	assert_int_equal(f->endpoint.pending.n, 0);
}

static void a_peer_that_exists_never_waits(void **state)
{
	struct fixture *f = *state;

	fill(f);
	disconnect(f, 3);
	request(f, IPC_CONNECT_IPIP, 6);
	assert_string_equal(ipv4_text(connect_as(f, IPC_CONNECT_IPIP, 1)).s, "10.0.0.2");
}

static void a_request_waits_two_seconds_and_is_refused_then(void **state)
{
	struct fixture *f = *state;

	fill(f);
	disconnect(f, 3);
	request(f, IPC_CONNECT_IPIP, 6);
	f->clock.ms += 1;
	request(f, IPC_CONNECT_IPIP, 7);
	f->clock.ms += PENDING_CONNECT_MS - 2;
	pending_connects_expire(&f->endpoint.pending);
	assert_int_equal(f->answers.n, 0);
	f->clock.ms += 1;
	pending_connects_expire(&f->endpoint.pending);
	assert_int_equal(f->answers.n, 1);
	assert_int_equal(f->answers.status[0], IPC_POOL_EXHAUSTED);
	free_addresses(f);
	assert_int_equal(f->answers.n, 2);
	assert_int_equal(f->answers.status[1], IPC_OK);
}

static void a_disconnect_ends_the_wait_of_its_own_peer_alone(void **state)
{
	struct fixture *f = *state;

	fill(f);
	disconnect(f, 3);
	request(f, IPC_CONNECT_IPIP, 6);
	request(f, IPC_CONNECT_IPIP, 7);
	request(f, IPC_CONNECT_WIREGUARD, 6);
	request(f, IPC_DISCONNECT_IPIP, 6);
	assert_int_equal(f->answers.n, 2);
	assert_int_equal(f->answers.status[0], IPC_POOL_EXHAUSTED);
	assert_int_equal(f->answers.status[1], IPC_OK);
	assert_int_equal(f->endpoint.pending.n, 2);
	free_addresses(f);
	assert_int_equal(f->answers.n, 4);
	assert_int_equal(f->answers.status[2], IPC_OK);
	/* Nothing is being freed any more: to wait would be in vain. */
	assert_int_equal(f->answers.status[3], IPC_POOL_EXHAUSTED);
	assert_non_null(peers_find(
		&f->endpoint.peers, &(struct plane_peer){.kind = PEER_IPIP, .remote = {7}}));
}

static void the_requests_of_a_gate_that_has_ended_take_no_address(void **state)
{
	struct fixture *f = *state;

	fill(f);
	disconnect(f, 3);
	request(f, IPC_CONNECT_IPIP, 6);
	pending_connects_forget_gate(&f->endpoint.pending, 0, 1);
	pending_connects_forget_gate(&f->endpoint.pending, 1, 0);
	assert_int_equal(f->endpoint.pending.n, 1);
	pending_connects_forget_gate(&f->endpoint.pending, 0, 0);
	free_addresses(f);
	assert_int_equal(f->answers.n, 0);
	assert_int_equal(pool_taken(f->endpoint.pool), 4);
}

static void the_servers_own_key_is_no_peers_key(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, IPC_CONNECT_WIREGUARD, 0xff), IPC_INVALID_KEY);
	assert_int_equal(pool_taken(f->endpoint.pool), 0);
}

/* Also where a gate does not look, since it was taken over. */
static void a_key_of_low_order_is_no_peers_key(void **state)
{
	struct fixture *f = *state;
	const struct client_request r = {
		.operation = IPC_CONNECT_WIREGUARD, .key = {{1, [KEY_SIZE - 1] = 0x80}}};

	f->answers.n = 0;
	endpoint_handle(&f->endpoint, &r, &(struct reply_to){0});
	assert_int_equal(f->answers.status[0], IPC_INVALID_KEY);
	assert_int_equal(pool_taken(f->endpoint.pool), 0);
}

static void each_wireguard_connect_writes_the_peer_again(void **state)
{
	struct fixture *f = *state;
	struct ipv4 address = connect_as(f, IPC_CONNECT_WIREGUARD, 1);

	fake_plane_lose(&f->fake, address);
	connect_as(f, IPC_CONNECT_WIREGUARD, 1);
	assert_non_null(fake_plane_usage(&f->fake, address));
}

/* A client that has shaken hands, and its place in the plane. */
static struct plane_usage *work(struct fixture *f)
{
	struct plane_usage *usage =
		fake_plane_usage(&f->fake, connect_as(f, IPC_CONNECT_WIREGUARD, 1));

	*usage = (struct plane_usage){.received = 1000, .handshake_ns = 1, .outer_port = 40000};
	inspect(f);
	return usage;
}

/* Time passes, with an inspection at its end. */
static void pass(struct fixture *f, uint64_t ms)
{
	f->clock.ms += ms;
	inspect(f);
}

/* Whether a peer was made anew: its counters begin at 0. */
static bool asks_and_is_made_anew(struct fixture *f, struct plane_usage *usage)
{
	usage->sent = 1;
	connect_as(f, IPC_CONNECT_WIREGUARD, 1);
	return usage->sent == 0;
}

static void who_asks_twice_and_is_not_heard_for_half_a_minute_is_made_anew_where_it_was(
	void **state)
{
	struct fixture *f = *state;
	struct plane_usage *usage = work(f);
	struct ipv4 address = f->answers.address[0];

	pass(f, SILENCE_MS - 1000);
	assert_false(asks_and_is_made_anew(f, usage));
	pass(f, 999);
	assert_false(asks_and_is_made_anew(f, usage));
	pass(f, 1);
	assert_true(asks_and_is_made_anew(f, usage));
	assert_int_equal(f->answers.address[0].value, address.value);
	assert_int_equal(f->fake.n_restored, 1);
	assert_int_equal(f->fake.restored_at.outer_port, 40000);
}

static void once_is_not_enough_however_long_the_silence(void **state)
{
	struct fixture *f = *state;
	struct plane_usage *usage = work(f);

	pass(f, 3 * SILENCE_MS);
	assert_false(asks_and_is_made_anew(f, usage));
	/* Before the plane is read again it may have been heard meanwhile. */
	assert_false(asks_and_is_made_anew(f, usage));
	pass(f, 1);
	assert_true(asks_and_is_made_anew(f, usage));
}

static void who_sends_a_byte_or_shakes_hands_keeps_its_session_however_often_it_asks(void **state)
{
	struct fixture *f = *state;
	struct plane_usage *usage = work(f);

	/* The Go client, whose echoes are lost: every 2 s, and a keepalive every 25 s. */
	for (unsigned int s = 2; s <= 200; s += 2) {
		usage->received += s % 25 < 2 ? 32 : 0;
		pass(f, 2000);
		assert_false(asks_and_is_made_anew(f, usage));
	}
	for (unsigned int s = 2; s <= 200; s += 2) {
		usage->handshake_ns += s % 25 < 2;
		pass(f, 2000);
		assert_false(asks_and_is_made_anew(f, usage));
	}
}

static void who_stays_silent_is_made_anew_every_half_minute_and_no_more(void **state)
{
	struct fixture *f = *state;
	struct plane_usage *usage = work(f);
	unsigned int n = 0;

	for (unsigned int s = 1; s <= 300; s++) {
		pass(f, 1000);
		n += asks_and_is_made_anew(f, usage);
	}
	/* Counters that begin at 0 again look like a byte, at the first reading. */
	assert_in_range(n, 9, 10);
}

static void while_the_plane_cannot_be_read_nobody_is_made_anew(void **state)
{
	struct fixture *f = *state;
	struct plane_usage *usage = work(f);

	f->fake.dump_error = -EIO;
	for (unsigned int i = 0; i < 5; i++) {
		pass(f, SILENCE_MS);
		assert_false(asks_and_is_made_anew(f, usage));
	}
}

/* Of the IPIP peer 1. id 0: without one. */
static enum ipc_status ask_with_id(struct fixture *f, enum ipc_operation operation, uint8_t id)
{
	const struct reply_to reply_to = {0};
	struct client_request r = {.operation = operation, .source = {1}, .key = {{id}}};

	f->answers.n = 0;
	endpoint_handle(&f->endpoint, &r, &reply_to);
	removals_flush(&f->endpoint.removals);
	assert_int_equal(f->answers.n, 1);
	return f->answers.status[0];
}

static void a_second_client_of_one_address_is_refused_while_bytes_come_from_the_first(void **state)
{
	struct fixture *f = *state;
	struct plane_usage *usage;

	assert_int_equal(ask_with_id(f, IPC_CONNECT_IPIP, 1), IPC_OK);
	usage = fake_plane_usage(&f->fake, f->answers.address[0]);
	usage->received = 100;
	f->clock.ms += 2000;
	assert_int_equal(ask_with_id(f, IPC_CONNECT_IPIP, 2), IPC_OTHER_CLIENT);
	assert_int_equal(ask_with_id(f, IPC_DISCONNECT_IPIP, 2), IPC_OTHER_CLIENT);
	assert_int_equal(ask_with_id(f, IPC_CONNECT_IPIP, 1), IPC_OK);
	f->clock.ms += RIVAL_MS - 1;
	assert_int_equal(ask_with_id(f, IPC_CONNECT_IPIP, 2), IPC_OTHER_CLIENT);
	f->clock.ms += 2000;
	assert_int_equal(ask_with_id(f, IPC_CONNECT_IPIP, 2), IPC_OK);
	usage->received = 200;
	f->clock.ms += 2000;
	assert_int_equal(ask_with_id(f, IPC_CONNECT_IPIP, 1), IPC_OTHER_CLIENT);
	assert_int_equal(ask_with_id(f, IPC_DISCONNECT_IPIP, 2), IPC_OK);
}

static void whoever_gives_no_id_is_served_as_ever(void **state)
{
	struct fixture *f = *state;
	struct plane_usage *usage;

	assert_int_equal(ask_with_id(f, IPC_CONNECT_IPIP, 0), IPC_OK);
	usage = fake_plane_usage(&f->fake, f->answers.address[0]);
	usage->received = 100;
	f->clock.ms += 2000;
	assert_int_equal(ask_with_id(f, IPC_CONNECT_IPIP, 1), IPC_OK);
	usage->received = 200;
	f->clock.ms += 2000;
	assert_int_equal(ask_with_id(f, IPC_CONNECT_IPIP, 0), IPC_OK);
	/* And the one that gave one has not lost it. */
	assert_int_equal(ask_with_id(f, IPC_CONNECT_IPIP, 2), IPC_OTHER_CLIENT);
	assert_int_equal(ask_with_id(f, IPC_DISCONNECT_IPIP, 0), IPC_OK);
}

static void a_tunnel_that_has_carried_nothing_yet_is_whose_asks_last(void **state)
{
	struct fixture *f = *state;

	for (uint8_t id = 1; id <= 3; id++)
		assert_int_equal(ask_with_id(f, IPC_CONNECT_IPIP, id), IPC_OK);
}

static void only_no_such_device_counts_as_vanished(void **state)
{
	struct fixture *f = *state;
	struct ipv4 address = connect_as(f, IPC_CONNECT_IPIP, 1);

	f->fake.check_error = -ENOBUFS;
	assert_true(ipv4_equal(connect_as(f, IPC_CONNECT_IPIP, 1), address));
	assert_int_equal(f->fake.n_adds, 1);
	f->fake.check_error = 0;
	fake_plane_lose(&f->fake, address);
	assert_true(ipv4_equal(connect_as(f, IPC_CONNECT_IPIP, 1), address));
	assert_int_equal(f->fake.n_adds, 2);
}

static void a_vanished_tunnel_that_cannot_be_made_again_frees_its_address(void **state)
{
	struct fixture *f = *state;

	fake_plane_lose(&f->fake, connect_as(f, IPC_CONNECT_IPIP, 1));
	f->fake.add_error = -EEXIST;
	assert_int_equal(ask(f, IPC_CONNECT_IPIP, 1), IPC_FAILED);
	assert_int_equal(pool_taken(f->endpoint.pool), 0);
}

static void disconnecting_is_answered_when_the_peer_is_gone(void **state)
{
	struct fixture *f = *state;

	connect_as(f, IPC_CONNECT_WIREGUARD, 1);
	f->answers.n = 0;
	request(f, IPC_DISCONNECT_WIREGUARD, 1);
	request(f, IPC_DISCONNECT_WIREGUARD, 1);
	assert_int_equal(f->answers.n, 0);
	assert_false(removals_flush(&f->endpoint.removals));
	assert_int_equal(f->answers.n, 2);
	assert_int_equal(f->answers.status[0], IPC_OK);
	assert_int_equal(f->fake.n_peers, 0);
	assert_int_equal(ask(f, IPC_DISCONNECT_WIREGUARD, 1), IPC_OK);
}

static void a_peer_that_cannot_be_removed_stays_and_that_is_said(void **state)
{
	struct fixture *f = *state;

	connect_as(f, IPC_CONNECT_IPIP, 1);
	f->answers.n = 0;
	f->fake.remove_error = -EPERM;
	request(f, IPC_DISCONNECT_IPIP, 1);
	removals_flush(&f->endpoint.removals);
	assert_int_equal(f->answers.status[0], IPC_FAILED);
	assert_int_equal(pool_taken(f->endpoint.pool), 1);
	f->fake.remove_error = 0;
	request(f, IPC_DISCONNECT_IPIP, 1);
	removals_flush(&f->endpoint.removals);
	assert_int_equal(pool_taken(f->endpoint.pool), 0);
}

static void a_connect_overtakes_a_queued_removal(void **state)
{
	struct fixture *f = *state;
	struct ipv4 address = connect_as(f, IPC_CONNECT_IPIP, 1);

	f->answers.n = 0;
	request(f, IPC_DISCONNECT_IPIP, 1);
	request(f, IPC_CONNECT_IPIP, 1);
	assert_int_equal(f->answers.n, 2);
	assert_false(removals_flush(&f->endpoint.removals));
	assert_non_null(fake_plane_usage(&f->fake, address));
}

static void an_ipip_peer_lives_while_bytes_move_in_either_direction(void **state)
{
	struct fixture *f = *state;
	struct ipv4 address = connect_as(f, IPC_CONNECT_IPIP, 1);

	for (int i = 0; i < 6; i++) {
		f->clock.ms += IDLE_MS;
		*(i % 2 ? &fake_plane_usage(&f->fake, address)->sent
			: &fake_plane_usage(&f->fake, address)->received) += 1;
		assert_int_equal(inspect(f), 1);
	}
	f->clock.ms += IDLE_MS;
	assert_int_equal(inspect(f), 1);
	f->clock.ms += 1;
	assert_int_equal(inspect(f), 0);
	assert_int_equal(f->fake.n_peers, 0);
}

static void a_connect_sets_the_idle_clock_back(void **state)
{
	struct fixture *f = *state;

	connect_as(f, IPC_CONNECT_IPIP, 1);
	f->clock.ms += IDLE_MS;
	connect_as(f, IPC_CONNECT_IPIP, 1);
	f->clock.ms += IDLE_MS;
	assert_int_equal(inspect(f), 1);
}

static void a_wireguard_peer_without_handshake_has_the_idle_timeout(void **state)
{
	struct fixture *f = *state;

	connect_as(f, IPC_CONNECT_WIREGUARD, 1);
	f->clock.ms += IDLE_MS;
	assert_int_equal(inspect(f), 1);
	f->clock.ms += 1;
	assert_int_equal(inspect(f), 0);
}

static void a_wireguard_peer_goes_when_handshake_and_connect_are_old(void **state)
{
	struct fixture *f = *state;
	struct ipv4 address = connect_as(f, IPC_CONNECT_WIREGUARD, 1);

	fake_plane_usage(&f->fake, address)->handshake_ns = 5;
	assert_int_equal(inspect(f), 1);
	f->clock.ms += IDLE_MS + 1 - GRACE_MS;
	connect_as(f, IPC_CONNECT_WIREGUARD, 1);
	f->clock.ms += GRACE_MS;
	assert_int_equal(inspect(f), 1);
	f->clock.ms += 1;
	assert_int_equal(inspect(f), 0);
}

static void nobody_goes_while_the_plane_cannot_be_read(void **state)
{
	struct fixture *f = *state;

	connect_as(f, IPC_CONNECT_IPIP, 1);
	f->fake.dump_error = -ENOBUFS;
	f->clock.ms += 2 * IDLE_MS;
	assert_int_equal(inspect(f), 1);
}

static void each_inspection_reconciles_the_device_and_takes_nobody_away_if_that_fails(void **state)
{
	struct fixture *f = *state;

	connect_as(f, IPC_CONNECT_IPIP, 1);
	assert_int_equal(inspect(f), 1);
	assert_int_equal(f->fake.n_reconciles, 1);
	f->fake.reconcile_error = -ENODEV;
	assert_int_equal(inspect(f), 1);
	assert_int_equal(f->fake.n_reconciles, 2);
	/* What cannot be read is not changed either. */
	f->fake.dump_error = -EIO;
	assert_int_equal(inspect(f), 1);
	assert_int_equal(f->fake.n_reconciles, 2);
}

static void a_vanished_ipip_interface_is_collected_when_that_is_certain(void **state)
{
	struct fixture *f = *state;

	fake_plane_lose(&f->fake, connect_as(f, IPC_CONNECT_IPIP, 1));
	f->fake.check_error = -ENOBUFS;
	assert_int_equal(inspect(f), 1);
	f->fake.check_error = 0;
	assert_int_equal(inspect(f), 0);
	assert_int_equal(pool_taken(f->endpoint.pool), 0);
}

static void adopted_peers_keep_addresses_and_their_idle_clocks_start_anew(void **state)
{
	struct fixture *f = *state;
	struct ipv4 first = connect_as(f, IPC_CONNECT_IPIP, 1);
	struct ipv4 second = connect_as(f, IPC_CONNECT_WIREGUARD, 1);

	fake_plane_usage(&f->fake, first)->received = 1000;
	fake_plane_usage(&f->fake, second)->handshake_ns = 1000;
	f->clock.ms += IDLE_MS / 2;
	endpoint_close(&f->endpoint, true);
	open_endpoint(f);
	assert_true(ipv4_equal(connect_as(f, IPC_CONNECT_IPIP, 1), first));
	assert_string_equal(ipv4_text(connect_as(f, IPC_CONNECT_WIREGUARD, 2)).s, "10.0.0.4");
	f->clock.ms += IDLE_MS;
	assert_int_equal(inspect(f), 3);
	f->clock.ms += 1;
	assert_int_equal(inspect(f), 0);
}

static void all_that_cannot_be_adopted_is_removed(void **state)
{
	struct fixture *f = *state;

	endpoint_close(&f->endpoint, true);
	for (uint32_t i = 0; i < FAKE_MAX_PEERS; i++)
		f->fake.peers[i] = (struct plane_peer){
			.kind = PEER_IPIP, .inner = {0x0b000001 + i}, .remote = {1 + i}};
	f->fake.peers[0].inner.value = 0x0a000002;
	f->fake.n_peers = FAKE_MAX_PEERS;
	open_endpoint(f);
	assert_int_equal(f->fake.n_peers, 1);
	assert_int_equal(pool_taken(f->endpoint.pool), 1);
}

static void of_two_peers_with_one_address_the_first_stays(void **state)
{
	struct fixture *f = *state;

	endpoint_close(&f->endpoint, true);
	f->fake.peers[0] =
		(struct plane_peer){.kind = PEER_WIREGUARD, .inner = {0x0a000002}, .key = {{1}}};
	f->fake.peers[1] =
		(struct plane_peer){.kind = PEER_IPIP, .inner = {0x0a000003}, .remote = {1}};
	f->fake.peers[2] =
		(struct plane_peer){.kind = PEER_IPIP, .inner = {0x0a000003}, .remote = {2}};
	f->fake.n_peers = 3;
	open_endpoint(f);
	assert_int_equal(peers_count(&f->endpoint.peers), 2);
	assert_int_equal(f->fake.n_peers, 2);
	assert_non_null(peers_find(
		&f->endpoint.peers, &(struct plane_peer){.kind = PEER_IPIP, .remote = {1}}));
}

static void what_is_adopted_is_reconciled_and_that_may_fail(void **state)
{
	struct fixture *f = *state;

	connect_as(f, IPC_CONNECT_IPIP, 1);
	endpoint_close(&f->endpoint, true);
	f->fake.n_reconciles = 0;
	f->fake.reconcile_error = -EIO;
	open_endpoint(f);
	assert_int_equal(f->fake.n_reconciles, 1);
	assert_int_equal(peers_count(&f->endpoint.peers), 1);
}

static void lose_device(struct fixture *f)
{
	f->fake.device_is_lost = true;
	f->fake.n_peers = 0;
}

static void a_lost_device_is_made_again_with_all_its_peers(void **state)
{
	struct fixture *f = *state;
	struct ipv4 first = connect_as(f, IPC_CONNECT_WIREGUARD, 1);
	struct ipv4 second = connect_as(f, IPC_CONNECT_IPIP, 2);

	lose_device(f);
	assert_int_equal(inspect(f), 2);
	assert_non_null(fake_plane_usage(&f->fake, first));
	assert_non_null(fake_plane_usage(&f->fake, second));
}

static void a_peer_given_back_to_its_device_has_the_idle_timeout_for_a_new_handshake(void **state)
{
	struct fixture *f = *state;
	struct ipv4 address = connect_as(f, IPC_CONNECT_WIREGUARD, 1);

	f->clock.ms += 2 * IDLE_MS;
	fake_plane_usage(&f->fake, address)->handshake_ns = 1;
	assert_int_equal(inspect(f), 1);
	lose_device(f);
	assert_int_equal(inspect(f), 1);
	assert_int_equal(inspect(f), 1);
	f->clock.ms += IDLE_MS + 1;
	assert_int_equal(inspect(f), 0);
}

static void what_could_not_be_made_at_first_is_promised_when_it_is_made(void **state)
{
	struct fixture *f = *state;
	struct event_base *base = event_base_new();
	/* One that says nothing. */
	const struct store_link_config config = {.program = "/bin/false"};

	assert_int_equal(store_link_new(base, &config, &f->endpoint.store), 0);
	f->fake.add_error = -ETIMEDOUT;
	assert_int_equal(ask(f, IPC_CONNECT_WIREGUARD, 1), IPC_FAILED);
	assert_int_equal(store_link_behind(f->endpoint.store), 0);
	f->fake.add_error = 0;
	connect_as(f, IPC_CONNECT_WIREGUARD, 1);
	assert_int_equal(store_link_behind(f->endpoint.store), 1);
	store_link_forget(f->endpoint.store);
	store_link_free(f->endpoint.store);
	f->endpoint.store = NULL;
	event_base_free(base);
}

static void keep_promise(struct fixture *f, const uint32_t *inner, size_t n, bool same_peer)
{
	struct promised promised = {0};

	for (size_t i = 0; i < n; i++) {
		struct storing_message record = {.operation = STORING_PEER,
			.peer = {.bind = f->endpoint.config.bind,
				.inner = {inner[i]},
				.kind = STORED_WIREGUARD,
				.active_s = i}};

		record.peer.key.bytes[0] = same_peer ? 1 : (uint8_t)(i + 1);
		assert_int_equal(promised_add(&promised, &record), 0);
	}
	promised_sort(&promised);
	endpoint_keep_promises(&f->endpoint, &promised);
	promised_free(&promised);
}

/* An endpoint whose store says nothing, and has this of an earlier server. */
static void open_with_floor(struct fixture *f, struct event_base *base, uint64_t reserved_s)
{
	const struct store_link_config config = {.program = "/bin/false"};
	const struct promised nothing = {0};

	endpoint_close(&f->endpoint, false);
	describe_endpoint(f);
	f->endpoint.floor.reserved_s = reserved_s;
	assert_int_equal(store_link_new(base, &config, &f->endpoint.store), 0);
	assert_int_equal(endpoint_open(&f->endpoint, NULL), 0);
	endpoint_keep_promises(&f->endpoint, &nothing);
}

static void close_store(struct fixture *f, struct event_base *base)
{
	store_link_forget(f->endpoint.store);
	store_link_free(f->endpoint.store);
	f->endpoint.store = NULL;
	event_base_free(base);
}

static void what_the_device_may_send_next_is_reserved_before_it_is_sent(void **state)
{
	struct fixture *f = *state;
	struct event_base *base = event_base_new();
	const uint64_t second = 1000000000, now_s = (uint64_t)time(NULL);

	/* A device that was told goes on from there. */
	f->fake.timestamp_ns = (now_s + 7000) * second + 5;
	open_with_floor(f, base, now_s + 7000);
	assert_int_equal(f->fake.floor_ns, (now_s + 7000) * second);
	assert_int_equal(f->endpoint.floor.reserved_s, now_s + 7001 + HANDSHAKE_FLOOR_AHEAD_S);
	/* Never less than an earlier server has said. */
	f->fake.timestamp_ns = now_s * second;
	handshake_floor_reserve(&f->endpoint);
	assert_int_equal(f->endpoint.floor.reserved_s, now_s + 7001 + HANDSHAKE_FLOOR_AHEAD_S);
	close_store(f, base);
}

static void of_a_device_that_has_gone_only_what_it_may_have_used_stays_reserved(void **state)
{
	struct fixture *f = *state;
	struct event_base *base = event_base_new();
	const uint64_t second = 1000000000, now_s = (uint64_t)time(NULL);

	f->fake.timestamp_ns = (now_s + 7) * second + 5;
	open_with_floor(f, base, now_s + 7);
	f->clock.ms += 3000;
	handshake_floor_settle(&f->endpoint);
	assert_int_equal(f->endpoint.floor.reserved_s, now_s + 11);
	/* Never less than an earlier server has said: the kernel sends what its clock says. */
	f->fake.timestamp_ns = (now_s - 3600) * second;
	handshake_floor_reserve(&f->endpoint);
	handshake_floor_settle(&f->endpoint);
	assert_int_equal(f->endpoint.floor.reserved_s, now_s + 7);
	close_store(f, base);
}

static void a_device_that_is_made_again_goes_on_from_where_the_lost_one_was(void **state)
{
	struct fixture *f = *state;
	struct event_base *base = event_base_new();
	const uint64_t second = 1000000000, now_s = (uint64_t)time(NULL);

	f->fake.timestamp_ns = (now_s + 7000) * second;
	open_with_floor(f, base, now_s + 7000);
	f->clock.ms += 3000;
	lose_device(f);
	inspect(f);
	assert_int_equal(f->fake.floor_ns, (now_s + 7003) * second);
	close_store(f, base);
}

static void a_clock_is_behind_if_it_is_before_what_was_used_for_certain(void **state)
{
	static const struct {
		int ahead_s; /* what was reserved, ahead of the clock */
		bool follows; /* the plane sends later timestamps than the clock's */
		uint64_t behind_s;
	} cases[] = {
		{0, false, 0},
		/* Started again at once. */
		{HANDSHAKE_FLOOR_AHEAD_S, false, 0},
		{HANDSHAKE_FLOOR_AHEAD_S, true, 0},
		{HANDSHAKE_FLOOR_AHEAD_S + 3600, false, 3600},
		{HANDSHAKE_FLOOR_AHEAD_S + 3600, true, 3600},
		/* Twice within what is reserved. */
		{2 * HANDSHAKE_FLOOR_AHEAD_S, true, 0},
	};
	struct fixture *f = *state;

	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "test");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct event_base *base = event_base_new();
		const uint64_t reserved_s = (uint64_t)time(NULL) + (uint64_t)cases[i].ahead_s;

		f->fake.timestamp_ns = cases[i].follows ? reserved_s * 1000000000 : 0;
		open_with_floor(f, base, reserved_s);
		/* A second may have passed. */
		assert_in_range(f->endpoint.floor.behind_s,
			cases[i].behind_s - (cases[i].behind_s > 0), cases[i].behind_s);
		close_store(f, base);
	}
}

static void a_device_that_is_lost_when_promises_are_made_breaks_none(void **state)
{
	struct fixture *f = *state;
	const uint32_t inner[] = {0x0a000002, 0x0a000003};

	f->fake.device_is_lost = true;
	keep_promise(f, inner, 2, false);
	assert_int_equal(peers_count(&f->endpoint.peers), 2);
	assert_int_equal(pool_taken(f->endpoint.pool), 2);
	assert_int_equal(inspect(f), 2);
	assert_int_equal(f->fake.n_peers, 2);
}

static void a_device_that_is_lost_while_it_is_opened_is_opened_again(void **state)
{
	struct fixture *f = *state;
	struct ipv4 address = connect_as(f, IPC_CONNECT_WIREGUARD, 1);

	endpoint_close(&f->endpoint, true);
	f->fake.n_going = 2;
	open_endpoint(f);
	assert_int_equal(peers_count(&f->endpoint.peers), 1);
	assert_int_equal(pool_taken(f->endpoint.pool), 1);
	assert_true(ipv4_equal(connect_as(f, IPC_CONNECT_WIREGUARD, 1), address));
}

static void who_was_promised_two_addresses_has_the_last(void **state)
{
	struct fixture *f = *state;
	const uint32_t inner[] = {0x0a000002, 0x0a000003};

	keep_promise(f, inner, 2, true);
	assert_int_equal(f->fake.n_peers, 1);
	assert_int_equal(f->fake.peers[0].inner.value, inner[1]);
}

static void a_peer_given_back_to_its_device_has_its_endpoint_restored(void **state)
{
	struct fixture *f = *state;
	struct ipv4 address = connect_as(f, IPC_CONNECT_WIREGUARD, 1);
	struct plane_usage *usage = fake_plane_usage(&f->fake, address);

	connect_as(f, IPC_CONNECT_WIREGUARD, 2); /* was never heard of */
	usage->outer.value = 0xc0000207;
	usage->outer_port = 40000;
	assert_int_equal(inspect(f), 2);
	lose_device(f);
	f->fake.restore_error = -ENOMEM; /* is no reason to go without it */
	assert_int_equal(inspect(f), 2);
	assert_int_equal(f->fake.n_restored, 2); /* with others, then by itself */
	assert_int_equal(f->fake.restored_at.outer.value, 0xc0000207);
	assert_int_equal(f->fake.restored_at.outer_port, 40000);
}

static void after_a_loss_handshakes_begin_with_those_who_were_active_last(void **state)
{
	static const uint32_t order[] = {3, 1, 4, 2};
	struct fixture *f = *state;
	struct ipv4 addresses[5];

	for (uint32_t who = 1; who <= 4; who++)
		addresses[who] = connect_as(f, IPC_CONNECT_WIREGUARD, who);
	for (size_t i = 4; i-- > 0;) {
		struct plane_usage *usage = fake_plane_usage(&f->fake, addresses[order[i]]);

		f->clock.ms += 1000;
		*usage = (struct plane_usage){.handshake_ns = 1, .outer_port = 40000};
		assert_int_equal(inspect(f), 4);
	}
	lose_device(f);
	assert_int_equal(inspect(f), 4);
	assert_int_equal(f->fake.n_restored, 4);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(f->fake.restored[i].inner.value, addresses[order[i]].value);
		assert_int_equal(f->fake.n_peers_at_restore[i], 4);
	}
}

static void at_a_start_who_was_active_last_waits_for_nobody(void **state)
{
	enum { N = 2 * PLANE_ADD_BATCH + 7 };
	struct fixture *f = *state;
	struct promised promised = {0};

	endpoint_close(&f->endpoint, false);
	describe_endpoint(f);
	prefix_parse("10.0.0.0/24", &f->endpoint.config.block);
	assert_int_equal(endpoint_open(&f->endpoint, NULL), 0);
	for (uint32_t i = 0; i < N; i++) {
		struct storing_message record = {.operation = STORING_PEER,
			.peer = {.bind = f->endpoint.config.bind,
				.inner = {0x0a000002 + i},
				.kind = STORED_WIREGUARD,
				.key = {{(uint8_t)i, 1}},
				.outer_port = 40000,
				/* in no order */
				.active_s = 1000 + i * 31 % N}};

		assert_int_equal(promised_add(&promised, &record), 0);
	}
	promised_sort(&promised);
	endpoint_keep_promises(&f->endpoint, &promised);
	promised_free(&promised);
	assert_int_equal(f->fake.n_restored, N);
	for (uint32_t i = 0; i < N; i++) {
		uint32_t who = f->fake.restored[i].inner.value - 0x0a000002;

		assert_int_equal(who * 31 % N, N - 1 - i);
		assert_true(f->fake.n_peers_at_restore[i] < i + 1 + PLANE_ADD_BATCH);
	}
}

/* The first is a peer of WireGuard, the others are of IPIP, at 198.51.100.0 and so on. */
static void keep_three_promises(struct fixture *f)
{
	struct promised promised = {0};

	for (uint32_t i = 0; i < 3; i++) {
		struct storing_message record = {.operation = STORING_PEER,
			.peer = {.bind = f->endpoint.config.bind,
				.inner = {0x0a000002 + i},
				.kind = i == 0 ? STORED_WIREGUARD : STORED_IPIP,
				.key = {{1}},
				.remote = {0xc6336400 + i}}};

		assert_int_equal(promised_add(&promised, &record), 0);
	}
	promised_sort(&promised);
	endpoint_keep_promises(&f->endpoint, &promised);
	promised_free(&promised);
}

/* A busy machine: the device has made the first ones, and then not answered in time. */
static void what_a_slow_device_was_not_given_at_the_start_is_made_later(void **state)
{
	struct fixture *f = *state;

	f->fake.add_error = -ETIMEDOUT;
	keep_three_promises(f);
	assert_int_equal(f->fake.n_peers, 0);
	assert_int_equal(inspect(f), 3);
	assert_int_equal(pool_taken(f->endpoint.pool), 3);
	f->fake.add_error = 0;
	assert_int_equal(inspect(f), 3);
	assert_int_equal(f->fake.n_peers, 3);
	/* From then on they are as all others are. */
	fake_plane_lose(&f->fake, (struct ipv4){0x0a000003});
	assert_int_equal(inspect(f), 2);
}

/* What the plane refuses is forgotten, which nothing that is queued may be. */
static void what_is_owed_and_asks_to_go_is_not_made_first(void **state)
{
	struct fixture *f = *state;

	f->fake.add_error = -ETIMEDOUT;
	keep_three_promises(f);
	f->fake.add_error = -EEXIST;
	f->answers.n = 0;
	request_from(f, IPC_DISCONNECT_IPIP, 1, 0xc6336401);
	endpoint_inspect(&f->endpoint, &rule);
	assert_int_equal(peers_count(&f->endpoint.peers), 1);
	removals_flush(&f->endpoint.removals);
	assert_int_equal(peers_count(&f->endpoint.peers), 0);
	assert_int_equal(f->answers.n, 1);
	assert_int_equal(f->answers.status[0], IPC_OK);
}

/* As when the store answers a claim late. */
static void what_is_promised_while_there_is_no_device_is_made_with_the_next_one(void **state)
{
	struct fixture *f = *state;

	lose_device(f);
	f->fake.open_error = -EIO;
	assert_int_equal(inspect(f), 0);
	assert_null(f->endpoint.device);
	keep_three_promises(f);
	assert_int_equal(peers_count(&f->endpoint.peers), 3);
	f->fake.open_error = 0;
	assert_int_equal(inspect(f), 3);
	assert_int_equal(f->fake.n_peers, 3);
	/* Once. */
	f->fake.n_adds = 0;
	assert_int_equal(inspect(f), 3);
	assert_int_equal(f->fake.n_adds, 0);
}

/* Whether they are to be read again. */
static bool read_newcomers(struct fixture *f)
{
	return newcomers_judge(&f->endpoint.newcomers, usage_read(&f->endpoint));
}

static void where_a_new_peer_is_is_read_when_it_has_shaken_hands(void **state)
{
	struct fixture *f = *state;
	struct ipv4 address = connect_as(f, IPC_CONNECT_WIREGUARD, 1);
	struct plane_usage *usage = fake_plane_usage(&f->fake, address);

	assert_true(read_newcomers(f));
	usage->handshake_ns = 1;
	usage->outer_port = 40000;
	assert_false(read_newcomers(f));
	lose_device(f);
	assert_int_equal(inspect(f), 1);
	assert_int_equal(f->fake.restored_at.outer_port, 40000);
}

static void a_new_peer_that_never_shakes_hands_is_not_waited_for_long(void **state)
{
	struct fixture *f = *state;
	unsigned int n = 1;

	connect_as(f, IPC_CONNECT_WIREGUARD, 1);
	while (read_newcomers(f))
		n++;
	assert_in_range(n, 2, 10);
	/* One that asks again is. */
	connect_as(f, IPC_CONNECT_WIREGUARD, 1);
	assert_true(read_newcomers(f));
}

/* For the others the next reading is some time away by then. */
static void a_new_peer_is_read_soon_also_while_others_are_waited_for(void **state)
{
	struct fixture *f = *state;
	struct newcomers *newcomers = &f->endpoint.newcomers;
	struct event_base *base = event_base_new();
	uint64_t soon;

	assert_int_equal(newcomers_init(newcomers, &f->endpoint, base), 0);
	connect_as(f, IPC_CONNECT_WIREGUARD, 1);
	soon = newcomers->due_ms;
	event_base_loop(base, EVLOOP_ONCE);
	assert_true(newcomers->due_ms > soon);
	connect_as(f, IPC_CONNECT_WIREGUARD, 2);
	assert_int_equal(newcomers->due_ms, soon);
	f->clock.ms += 100;
	connect_as(f, IPC_CONNECT_WIREGUARD, 3);
	assert_int_equal(newcomers->due_ms, soon);
	newcomers_free(newcomers);
	event_base_free(base);
}

static void nobody_waits_for_an_ipip_peer(void **state)
{
	struct fixture *f = *state;

	connect_as(f, IPC_CONNECT_IPIP, 1);
	assert_false(read_newcomers(f));
}

enum { N_CROWD = 4 };

/* An endpoint of an event loop, with some peers whose time is up; readings are of a peer at a time.
 */
static struct event_base *open_with_loop(struct fixture *f)
{
	struct event_base *base = event_base_new();

	endpoint_close(&f->endpoint, false);
	fake_plane_init(&f->fake);
	describe_endpoint(f);
	assert_int_equal(endpoint_open(&f->endpoint, base), 0);
	for (uint32_t who = 1; who <= N_CROWD; who++)
		connect_as(f, IPC_CONNECT_IPIP, who);
	f->fake.piece = 1;
	f->fake.n_readings = 0;
	f->clock.ms += IDLE_MS + 1;
	return base;
}

static void run_inspection(struct fixture *f, struct event_base *base)
{
	while (f->endpoint.inspection.runs || f->endpoint.usage.reading)
		event_base_loop(base, EVLOOP_ONCE);
}

static void close_with_loop(struct fixture *f, struct event_base *base)
{
	endpoint_close(&f->endpoint, false);
	assert_int_equal(f->fake.n_open_readings, 0);
	event_base_free(base);
	open_endpoint(f);
}

/* Asks for the IPIP peer 1, which has been another client's; bytes have come from that one just now
 * or long ago. */
static void send_as_rival(struct fixture *f, enum ipc_operation operation, bool is_silent)
{
	const struct reply_to reply_to = {0};
	struct client_request r = {.operation = operation, .source = {1}, .key = {{2}}};

	assert_int_equal(ask_with_id(f, IPC_CONNECT_IPIP, 1), IPC_OK);
	fake_plane_usage(&f->fake, f->answers.address[0])->received += 100;
	if (is_silent)
		assert_int_equal(usage_read(&f->endpoint), 0);
	f->clock.ms += 2 * RIVAL_MS;
	f->fake.n_readings = 0;
	f->answers.n = 0;
	endpoint_handle(&f->endpoint, &r, &reply_to);
	assert_int_equal(f->answers.n, 0);
	assert_int_equal(f->fake.n_open_readings, 1);
}

static void who_has_a_rival_waits_for_a_reading_in_pieces_and_nobody_else_does(void **state)
{
	static const enum ipc_operation operations[] = {IPC_CONNECT_IPIP, IPC_DISCONNECT_IPIP};
	struct fixture *f = *state;

	for (int i = 0; i < 4; i++) {
		struct event_base *base = open_with_loop(f);
		const bool is_silent = i / 2;

		send_as_rival(f, operations[i % 2], is_silent);
		connect_as(f, IPC_CONNECT_IPIP, 2);
		f->answers.n = 0;
		while (f->answers.n == 0)
			event_base_loop(base, EVLOOP_ONCE);
		assert_int_equal(f->answers.n, 1);
		assert_int_equal(f->answers.status[0], is_silent ? IPC_OK : IPC_OTHER_CLIENT);
		assert_int_equal(f->fake.n_readings, 1);
		close_with_loop(f, base);
	}
}

static void who_waits_for_a_reading_that_is_given_up_is_refused(void **state)
{
	struct fixture *f = *state;
	struct event_base *base = open_with_loop(f);

	send_as_rival(f, IPC_CONNECT_IPIP, false);
	f->fake.device_is_lost = true;
	assert_int_equal(endpoint_heal(&f->endpoint), 0);
	assert_int_equal(f->answers.n, 1);
	assert_int_equal(f->answers.status[0], IPC_FAILED);
	send_as_rival(f, IPC_CONNECT_IPIP, false);
	endpoint_rest(&f->endpoint);
	assert_int_equal(f->answers.n, 1);
	assert_int_equal(f->answers.status[0], IPC_NOT_SERVED);
	assert_int_equal(endpoint_wake(&f->endpoint), 0);
	/* Nobody is there for the answer. */
	send_as_rival(f, IPC_CONNECT_IPIP, false);
	close_with_loop(f, base);
	assert_int_equal(f->answers.n, 0);
}

static void who_waits_for_a_reading_and_is_refused_is_in_the_audit(void **state)
{
	struct fixture *f = *state;
	struct event_base *base = open_with_loop(f);
	char path[] = "/tmp/vprox-audit-XXXXXX";
	auto_free char *text = NULL;
	size_t length;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(audit_open(path, base, &f->endpoint.audit), 0);
	send_as_rival(f, IPC_CONNECT_IPIP, false);
	endpoint_rest(&f->endpoint);
	assert_int_equal(f->answers.status[0], IPC_NOT_SERVED);
	audit_close(f->endpoint.audit);
	f->endpoint.audit = NULL;
	assert_int_equal(file_read(path, 1 << 16, &text, &length), 0);
	unlink(path);
	assert_non_null(strstr(text, "\"refusal\""));
	close_with_loop(f, base);
}

static void what_takes_long_to_put_right_is_put_right_in_slices(void **state)
{
	struct fixture *f = *state;
	struct event_base *base = open_with_loop(f);
	size_t n_before = peers_count(&f->endpoint.peers);

	f->fake.n_reconciles = 0;
	f->fake.n_reconcile_pieces = 3;
	endpoint_inspect(&f->endpoint, &rule);
	for (unsigned int turn = 0; f->endpoint.inspection.runs; turn++) {
		unsigned int n = f->fake.n_reconciles;

		event_base_loop(base, EVLOOP_ONCE);
		assert_true(f->fake.n_reconciles <= n + 1);
		if (f->fake.n_reconciles > 0 && f->fake.n_reconciles < 4) {
			connect_as(f, IPC_CONNECT_IPIP, 2);
			assert_null(TAILQ_FIRST(&f->endpoint.removals.queue));
		}
	}
	assert_int_equal(f->fake.n_reconciles, 4);
	while (removals_flush(&f->endpoint.removals)) {
	}
	/* Who has asked meanwhile is not idle, the others are. */
	assert_int_equal(peers_count(&f->endpoint.peers), 1);
	assert_true(n_before > 1);
	/* The device may be lost between two slices. */
	f->fake.n_reconcile_pieces = 3;
	endpoint_inspect(&f->endpoint, &rule);
	while (f->fake.n_reconcile_pieces == 3)
		event_base_loop(base, EVLOOP_ONCE);
	f->fake.device_is_lost = true;
	assert_int_equal(endpoint_heal(&f->endpoint), 0);
	run_inspection(f, base);
	close_with_loop(f, base);
}

struct visits {
	unsigned int n, n_done;
};

/* Takes as long as a slice. */
static void visit_slowly(void *context, struct peer *peer)
{
	struct visits *visits = context;
	const uint64_t end_ms = clock_now_ms(&system_clock) + PEER_WALK_SLICE_MS;

	assert_int_equal(peer->id.kind, PEER_IPIP);
	visits->n++;
	while (clock_now_ms(&system_clock) < end_ms)
		usleep(100);
}

static void note_end(void *context)
{
	struct visits *visits = context;

	visits->n_done++;
}

static void a_walk_over_all_peers_lets_others_in_and_ends_with_its_endpoint(void **state)
{
	struct fixture *f = *state;
	struct event_base *base = open_with_loop(f);
	struct visits visits = {0};
	struct peer_walk walk;
	unsigned int n_turns = 0;

	assert_int_equal(peer_walk_init(&walk, base, visit_slowly, note_end, &visits), 0);
	peer_walk_begin(&walk, &f->endpoint);
	for (; peer_walk_runs(&walk); n_turns++)
		event_base_loop(base, EVLOOP_ONCE);
	assert_int_equal(visits.n, N_CROWD);
	assert_int_equal(visits.n_done, 1);
	assert_true(n_turns > 0);
	peer_walk_begin(&walk, &f->endpoint);
	assert_true(peer_walk_runs(&walk));
	endpoint_close(&f->endpoint, false);
	assert_false(peer_walk_runs(&walk));
	assert_int_equal(visits.n_done, 2);
	assert_in_range(visits.n, N_CROWD + 1, 2 * N_CROWD);
	peer_walk_free(&walk);
	assert_int_equal(endpoint_open(&f->endpoint, base), 0);
	close_with_loop(f, base);
}

static void requests_are_served_while_an_endpoint_is_inspected(void **state)
{
	struct fixture *f = *state;
	struct event_base *base = open_with_loop(f);

	endpoint_inspect(&f->endpoint, &rule);
	event_base_loop(base, EVLOOP_ONCE);
	assert_true(f->endpoint.inspection.runs);
	connect_as(f, IPC_CONNECT_IPIP, N_CROWD + 1);
	connect_as(f, IPC_CONNECT_IPIP, 1); /* is wanted again */
	run_inspection(f, base);
	while (removals_flush(&f->endpoint.removals)) {
	}
	assert_int_equal(peers_count(&f->endpoint.peers), 2);
	close_with_loop(f, base);
}

/* Nobody could be heard of while it went on. */
static void a_reading_that_takes_long_makes_nobody_idle(void **state)
{
	struct fixture *f = *state;
	struct event_base *base = open_with_loop(f);

	f->clock.ms -= IDLE_MS;
	endpoint_inspect(&f->endpoint, &rule);
	event_base_loop(base, EVLOOP_ONCE);
	f->clock.ms += IDLE_MS + 1;
	run_inspection(f, base);
	assert_true(TAILQ_EMPTY(&f->endpoint.removals.queue));
	endpoint_inspect(&f->endpoint, &rule);
	run_inspection(f, base);
	assert_false(TAILQ_EMPTY(&f->endpoint.removals.queue));
	close_with_loop(f, base);
}

static void one_reading_serves_all_who_want_one(void **state)
{
	struct fixture *f = *state;
	struct event_base *base = open_with_loop(f);

	connect_as(f, IPC_CONNECT_WIREGUARD, N_CROWD + 1);
	endpoint_inspect(&f->endpoint, &rule);
	event_base_loop(base, EVLOOP_ONCE);
	usage_request(&f->endpoint, &f->endpoint.newcomers.waiter);
	usage_request(&f->endpoint, &f->endpoint.newcomers.waiter);
	run_inspection(f, base);
	assert_int_equal(f->fake.n_readings, 1);
	assert_true(f->endpoint.newcomers.delay_ms > 0);
	close_with_loop(f, base);
}

/* The time of a piece is over when the broker has been busy for so long, too. */
static void a_piece_that_is_there_is_read_however_late(void **state)
{
	struct fixture *f = *state;
	struct event_base *base = open_with_loop(f);

	endpoint_inspect(&f->endpoint, &rule);
	event_base_loop(base, EVLOOP_ONCE);
	event_active(f->endpoint.usage.readable, EV_READ | EV_TIMEOUT, 0);
	run_inspection(f, base);
	assert_false(TAILQ_EMPTY(&f->endpoint.removals.queue));
	close_with_loop(f, base);
}

static void a_reading_of_a_device_that_hangs_is_given_up_and_that_is_said(void **state)
{
	struct fixture *f = *state;
	struct event_base *base = open_with_loop(f);

	f->fake.plane.error[0] = '\0';
	endpoint_inspect(&f->endpoint, &rule);
	event_del(f->endpoint.usage.readable);
	event_active(f->endpoint.usage.readable, EV_TIMEOUT, 0);
	event_base_loop(base, EVLOOP_ONCE);
	assert_null(f->endpoint.usage.reading);
	assert_false(f->endpoint.inspection.runs);
	assert_true(TAILQ_EMPTY(&f->endpoint.removals.queue));
	assert_string_equal(plane_error(&f->fake.plane), "read peers: Connection timed out");
	close_with_loop(f, base);
}

static void an_inspection_that_is_asked_for_amid_another_follows_it(void **state)
{
	struct fixture *f = *state;
	struct event_base *base = open_with_loop(f);

	endpoint_inspect(&f->endpoint, &rule);
	endpoint_inspect(&f->endpoint, &rule);
	endpoint_inspect(&f->endpoint, &rule);
	run_inspection(f, base);
	assert_int_equal(f->fake.n_readings, 2);
	close_with_loop(f, base);
}

static void a_device_may_be_made_again_amid_an_inspection(void **state)
{
	struct fixture *f = *state;
	struct event_base *base = open_with_loop(f);

	f->clock.ms -= IDLE_MS;
	endpoint_inspect(&f->endpoint, &rule);
	event_base_loop(base, EVLOOP_ONCE);
	assert_non_null(f->endpoint.usage.reading);
	lose_device(f);
	connect_as(f, IPC_CONNECT_IPIP, N_CROWD + 1);
	assert_null(f->endpoint.usage.reading);
	assert_false(f->endpoint.inspection.runs);
	assert_int_equal(f->fake.n_peers, N_CROWD + 1);
	endpoint_inspect(&f->endpoint, &rule);
	run_inspection(f, base);
	assert_int_equal(peers_count(&f->endpoint.peers), N_CROWD + 1);
	close_with_loop(f, base);
}

static void a_device_that_is_lost_amid_an_inspection_is_made_again(void **state)
{
	struct fixture *f = *state;
	struct event_base *base = open_with_loop(f);

	f->clock.ms -= IDLE_MS;
	endpoint_inspect(&f->endpoint, &rule);
	event_base_loop(base, EVLOOP_ONCE);
	lose_device(f);
	run_inspection(f, base);
	assert_false(f->fake.device_is_lost);
	assert_int_equal(f->fake.n_peers, N_CROWD);
	close_with_loop(f, base);
}

static void an_endpoint_may_close_or_rest_amid_an_inspection(void **state)
{
	struct fixture *f = *state;
	struct event_base *base = open_with_loop(f);

	endpoint_inspect(&f->endpoint, &rule);
	event_base_loop(base, EVLOOP_ONCE);
	endpoint_rest(&f->endpoint);
	run_inspection(f, base);
	assert_int_equal(f->fake.n_open_readings, 0);
	assert_int_equal(endpoint_wake(&f->endpoint), 0);
	endpoint_inspect(&f->endpoint, &rule);
	event_base_loop(base, EVLOOP_ONCE);
	assert_non_null(f->endpoint.usage.reading);
	close_with_loop(f, base);
}

static void what_stands_in_the_way_of_a_peer_given_back_goes(void **state)
{
	struct fixture *f = *state;
	struct ipv4 address = connect_as(f, IPC_CONNECT_IPIP, 1);
	struct plane_peer stranger = {.kind = PEER_IPIP, .inner = {0x0b000002}, .remote = {7}};

	lose_device(f);
	/* Its tunnel, but with another inner address; and one that is none of the block's. */
	f->fake.peers[0] =
		(struct plane_peer){.kind = PEER_IPIP, .inner = {address.value + 1}, .remote = {1}};
	f->fake.peers[1] = stranger;
	f->fake.n_peers = 2;
	assert_int_equal(inspect(f), 1);
	assert_int_equal(f->fake.n_peers, 1);
	assert_non_null(fake_plane_usage(&f->fake, address));
}

static void a_connect_makes_a_lost_device_again(void **state)
{
	struct fixture *f = *state;
	struct ipv4 first = connect_as(f, IPC_CONNECT_WIREGUARD, 1);

	lose_device(f);
	assert_string_equal(ipv4_text(connect_as(f, IPC_CONNECT_WIREGUARD, 2)).s, "10.0.0.3");
	assert_non_null(fake_plane_usage(&f->fake, first));
}

static void a_device_that_goes_while_it_is_made_again_costs_no_request(void **state)
{
	struct fixture *f = *state;

	connect_as(f, IPC_CONNECT_WIREGUARD, 1);
	f->fake.device_is_lost = true;
	f->fake.n_going = 2;
	assert_int_equal(ask(f, IPC_CONNECT_WIREGUARD, 1), IPC_OK);
	f->fake.device_is_lost = true;
	f->fake.n_going = 1;
	assert_int_equal(ask(f, IPC_CONNECT_IPIP, 2), IPC_OK);
	/* But not for ever. */
	f->fake.device_is_lost = true;
	f->fake.n_going = 1000;
	assert_int_equal(ask(f, IPC_CONNECT_IPIP, 3), IPC_FAILED);
	f->fake.n_going = 0;
}

static void who_asks_again_while_devices_die_keeps_the_address(void **state)
{
	struct fixture *f = *state;
	struct ipv4 address = connect_as(f, IPC_CONNECT_IPIP, 1);

	lose_device(f);
	f->fake.n_going = 1000;
	assert_int_equal(ask(f, IPC_CONNECT_IPIP, 1), IPC_FAILED);
	f->fake.n_going = 0;
	assert_int_equal(pool_taken(f->endpoint.pool), 1);
	assert_true(ipv4_equal(connect_as(f, IPC_CONNECT_IPIP, 1), address));
}

/* Each peer would cost as long as a device may take to answer. */
static void a_device_that_hangs_is_given_no_further_peer(void **state)
{
	struct fixture *f = *state;

	for (unsigned int i = 1; i <= 3; i++)
		connect_as(f, IPC_CONNECT_WIREGUARD, i);
	lose_device(f);
	f->fake.n_adds = 0;
	f->fake.add_error = -ETIMEDOUT;
	inspect(f);
	assert_int_equal(f->fake.n_adds, 1);
	assert_int_equal(pool_taken(f->endpoint.pool), 3);
	f->fake.add_error = 0;
	assert_int_equal(inspect(f), 3);
}

static void one_peer_that_cannot_be_given_back_holds_up_no_other(void **state)
{
	struct fixture *f = *state;
	struct ipv4 first = connect_as(f, IPC_CONNECT_WIREGUARD, 1);
	struct ipv4 refused = connect_as(f, IPC_CONNECT_IPIP, 2);
	struct ipv4 last = connect_as(f, IPC_CONNECT_WIREGUARD, 3);

	lose_device(f);
	f->fake.refused = refused;
	assert_int_equal(inspect(f), 3);
	assert_non_null(fake_plane_usage(&f->fake, first));
	assert_non_null(fake_plane_usage(&f->fake, last));
	assert_null(fake_plane_usage(&f->fake, refused));
}

static void a_device_that_cannot_be_made_again_is_tried_again_later(void **state)
{
	struct fixture *f = *state;
	struct ipv4 address = connect_as(f, IPC_CONNECT_WIREGUARD, 1);

	lose_device(f);
	f->fake.open_error = -EPERM;
	assert_int_equal(inspect(f), 1);
	assert_int_equal(ask(f, IPC_CONNECT_WIREGUARD, 1), IPC_FAILED);
	assert_int_equal(ask(f, IPC_CONNECT_IPIP, 1), IPC_FAILED);
	f->fake.open_error = 0;
	assert_int_equal(inspect(f), 2);
	assert_non_null(fake_plane_usage(&f->fake, address));
	/* Whose request has failed meanwhile does not know of its tunnel. */
	assert_int_equal(inspect(f), 1);
}

static void without_its_device_no_ipip_tunnel_is_taken_for_gone(void **state)
{
	struct fixture *f = *state;

	connect_as(f, IPC_CONNECT_IPIP, 1);
	f->fake.device_is_lost = true; /* `ip link del vprox0` leaves vp0-2 */
	f->fake.open_error = -EPERM;
	inspect(f);
	assert_int_equal(ask(f, IPC_CONNECT_IPIP, 1), IPC_FAILED);
	f->answers.n = 0;
	request(f, IPC_DISCONNECT_IPIP, 1);
	assert_false(removals_flush(&f->endpoint.removals));
	assert_int_equal(f->answers.status[0], IPC_FAILED);
	assert_int_equal(pool_taken(f->endpoint.pool), 1);
	f->fake.open_error = 0;
	request(f, IPC_DISCONNECT_IPIP, 1);
	assert_false(removals_flush(&f->endpoint.removals));
	assert_int_equal(f->answers.status[1], IPC_OK);
	assert_int_equal(pool_taken(f->endpoint.pool), 0);
	assert_int_equal(f->fake.n_peers, 0);
}

static void a_peer_has_the_name_of_who_asked_last_and_each_name_is_kept_once(void **state)
{
	struct fixture *f = *state;
	const struct client_name ci = {"token:ci"}, shop = {"oidc:shop"};
	const struct plane_peer first = {.kind = PEER_WIREGUARD, .key = {{1, 1}}};
	const struct peer_names *names = &f->endpoint.peers.names;

	connect_named(f, "token:ci", 1);
	connect_named(f, "token:ci", 2);
	connect_named(f, "", 3);
	assert_int_equal(names->table.count, 1);
	assert_int_equal(peer_names_count(names, &ci), 2);
	connect_named(f, "oidc:shop", 1);
	assert_string_equal(peers_name_of(peers_find(&f->endpoint.peers, &first))->s, "oidc:shop");
	assert_int_equal(peer_names_count(names, &ci), 1);
	connect_named(f, "", 2);
	assert_int_equal(peer_names_count(names, &ci), 0);
	assert_int_equal(peer_names_count(names, &shop), 1);
	request(f, IPC_DISCONNECT_WIREGUARD, 1);
	while (removals_flush(&f->endpoint.removals))
		;
	assert_int_equal(names->table.count, 0);
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		RULE(a_peer_has_the_name_of_who_asked_last_and_each_name_is_kept_once),
		RULE(both_kinds_draw_from_one_pool),
		RULE(the_same_peer_gets_the_same_address_again),
		RULE(a_failed_connect_takes_no_address),
		RULE(what_a_device_may_have_made_too_late_is_gone_before_its_address_is_free),
		RULE(who_asks_again_for_what_could_not_be_made_gets_the_same_address),
		RULE(the_last_addresses_are_not_for_a_source_that_has_half_of_all),
		RULE(a_peer_counts_for_the_address_that_asked_last),
		RULE(the_share_of_a_source_can_be_set),
		RULE(what_is_adopted_counts_for_where_it_is),
		RULE(a_used_up_block_is_said_and_recovers),
		RULE(refused_requests_of_one_source_neither_flood_the_log_nor_hide_another),
		RULE(what_cannot_be_made_or_removed_does_not_flood_the_log_either),
		RULE(a_request_waits_while_the_only_address_is_being_freed),
		RULE(a_peer_that_exists_never_waits),
		RULE(a_request_waits_two_seconds_and_is_refused_then),
		RULE(a_disconnect_ends_the_wait_of_its_own_peer_alone),
		RULE(the_requests_of_a_gate_that_has_ended_take_no_address),
		RULE(the_servers_own_key_is_no_peers_key),
		RULE(a_key_of_low_order_is_no_peers_key),
		RULE(each_wireguard_connect_writes_the_peer_again),
		RULE(a_second_client_of_one_address_is_refused_while_bytes_come_from_the_first),
		RULE(whoever_gives_no_id_is_served_as_ever),
		RULE(a_tunnel_that_has_carried_nothing_yet_is_whose_asks_last),
		RULE(who_asks_twice_and_is_not_heard_for_half_a_minute_is_made_anew_where_it_was),
		RULE(once_is_not_enough_however_long_the_silence),
		RULE(who_sends_a_byte_or_shakes_hands_keeps_its_session_however_often_it_asks),
		RULE(who_stays_silent_is_made_anew_every_half_minute_and_no_more),
		RULE(while_the_plane_cannot_be_read_nobody_is_made_anew),
		RULE(only_no_such_device_counts_as_vanished),
		RULE(a_vanished_tunnel_that_cannot_be_made_again_frees_its_address),
		RULE(disconnecting_is_answered_when_the_peer_is_gone),
		RULE(a_peer_that_cannot_be_removed_stays_and_that_is_said),
		RULE(a_connect_overtakes_a_queued_removal),
		RULE(an_ipip_peer_lives_while_bytes_move_in_either_direction),
		RULE(a_connect_sets_the_idle_clock_back),
		RULE(a_wireguard_peer_without_handshake_has_the_idle_timeout),
		RULE(a_wireguard_peer_goes_when_handshake_and_connect_are_old),
		RULE(nobody_goes_while_the_plane_cannot_be_read),
		RULE(each_inspection_reconciles_the_device_and_takes_nobody_away_if_that_fails),
		RULE(a_vanished_ipip_interface_is_collected_when_that_is_certain),
		RULE(a_lost_device_is_made_again_with_all_its_peers),
		RULE(a_peer_given_back_to_its_device_has_the_idle_timeout_for_a_new_handshake),
		RULE(a_peer_given_back_to_its_device_has_its_endpoint_restored),
		RULE(what_could_not_be_made_at_first_is_promised_when_it_is_made),
		RULE(what_the_device_may_send_next_is_reserved_before_it_is_sent),
		RULE(of_a_device_that_has_gone_only_what_it_may_have_used_stays_reserved),
		RULE(a_device_that_is_made_again_goes_on_from_where_the_lost_one_was),
		RULE(a_clock_is_behind_if_it_is_before_what_was_used_for_certain),
		RULE(a_device_that_is_lost_when_promises_are_made_breaks_none),
		RULE(a_device_that_is_lost_while_it_is_opened_is_opened_again),
		RULE(who_was_promised_two_addresses_has_the_last),
		RULE(after_a_loss_handshakes_begin_with_those_who_were_active_last),
		RULE(at_a_start_who_was_active_last_waits_for_nobody),
		RULE(what_a_slow_device_was_not_given_at_the_start_is_made_later),
		RULE(what_is_owed_and_asks_to_go_is_not_made_first),
		RULE(what_is_promised_while_there_is_no_device_is_made_with_the_next_one),
		RULE(where_a_new_peer_is_is_read_when_it_has_shaken_hands),
		RULE(a_new_peer_that_never_shakes_hands_is_not_waited_for_long),
		RULE(a_new_peer_is_read_soon_also_while_others_are_waited_for),
		RULE(nobody_waits_for_an_ipip_peer),
		RULE(who_has_a_rival_waits_for_a_reading_in_pieces_and_nobody_else_does),
		RULE(who_waits_for_a_reading_that_is_given_up_is_refused),
		RULE(who_waits_for_a_reading_and_is_refused_is_in_the_audit),
		RULE(what_takes_long_to_put_right_is_put_right_in_slices),
		RULE(a_walk_over_all_peers_lets_others_in_and_ends_with_its_endpoint),
		RULE(requests_are_served_while_an_endpoint_is_inspected),
		RULE(a_reading_that_takes_long_makes_nobody_idle),
		RULE(one_reading_serves_all_who_want_one),
		RULE(a_piece_that_is_there_is_read_however_late),
		RULE(a_reading_of_a_device_that_hangs_is_given_up_and_that_is_said),
		RULE(an_inspection_that_is_asked_for_amid_another_follows_it),
		RULE(a_device_may_be_made_again_amid_an_inspection),
		RULE(a_device_that_is_lost_amid_an_inspection_is_made_again),
		RULE(an_endpoint_may_close_or_rest_amid_an_inspection),
		RULE(who_asks_again_while_devices_die_keeps_the_address),
		RULE(a_device_that_hangs_is_given_no_further_peer),
		RULE(one_peer_that_cannot_be_given_back_holds_up_no_other),
		RULE(a_connect_makes_a_lost_device_again),
		RULE(a_device_that_goes_while_it_is_made_again_costs_no_request),
		RULE(a_device_that_cannot_be_made_again_is_tried_again_later),
		RULE(all_that_cannot_be_adopted_is_removed),
		RULE(of_two_peers_with_one_address_the_first_stays),
		RULE(what_is_adopted_is_reconciled_and_that_may_fail),
		RULE(what_stands_in_the_way_of_a_peer_given_back_goes),
		RULE(without_its_device_no_ipip_tunnel_is_taken_for_gone),
		RULE(adopted_peers_keep_addresses_and_their_idle_clocks_start_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
