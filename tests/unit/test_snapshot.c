/* What the broker says of itself, and what it costs. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include <event2/buffer.h>

#include "base/log.h"
#include "fake_plane.h"
#include "ipc/report.h"
#include "server/adoption.h"
#include "server/config.h"
#include "server/data_plane.h"
#include "server/peer_listing.h"
#include "server/removals.h"
#include "server/requests.h"
#include "server/snapshot.h"
#include "server/usage.h"

enum {
	START_MS = 1000 * 1000,
	WIREGUARD = 1,
	IPIP = 2,
};

struct test_clock {
	struct clock clock; /* first */
	uint64_t ms;
};

struct fixture {
	struct fake_plane fake;
	struct test_clock clock;
	struct server_config config;
	struct endpoint endpoint;
	struct data_plane data_plane;
	struct snapshot_source source;
	struct report report;
	void (*between)(
		struct fixture *f); /* NULL: nothing happens between two pieces of a report */
	unsigned int n_between;
};

static uint64_t now_ms(const struct clock *clock)
{
	return ((const struct test_clock *)clock)->ms;
}

static void drop_answer(
	void *context, const struct reply_to *to, enum ipc_status status, struct ipv4 address)
{
	(void)context;
	(void)to;
	(void)status;
	(void)address;
}

static int setup(void **state)
{
	static struct fixture f;
	struct client_request request = {.source = {0xc6336401}};

	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "test");
	f = (struct fixture){.clock = {{now_ms}, START_MS}};
	fake_plane_init(&f.fake);
	f.endpoint = (struct endpoint){
		.config = {.index = 3, .bind = {0xcb007101}, .port = 50230},
		.public_key = {{0xff}},
		.plane = &f.fake.plane,
		.clock = &f.clock.clock,
		.answer = drop_answer,
	};
	prefix_parse("10.0.0.0/24", &f.endpoint.config.block);
	f.endpoint.config.gateway = pool_gateway(f.endpoint.config.block);
	assert_int_equal(endpoint_open(&f.endpoint, NULL), 0);
	f.data_plane = (struct data_plane){.config = &f.config, .plane = &f.fake.plane};
	TAILQ_INIT(&f.data_plane.endpoints);
	TAILQ_INSERT_TAIL(&f.data_plane.endpoints, &f.endpoint, entry);
	f.source = (struct snapshot_source){.data_plane = &f.data_plane, .pin = "sha256//pin"};
	request.operation = IPC_CONNECT_WIREGUARD;
	request.key.bytes[0] = WIREGUARD;
	request.key.bytes[1] = 1; /* of no low order */
	endpoint_handle(&f.endpoint, &request, &(struct reply_to){0});
	request.operation = IPC_CONNECT_IPIP;
	endpoint_handle(&f.endpoint, &request, &(struct reply_to){0});
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	report_free(&f->report);
	endpoint_close(&f->endpoint, false);
	return 0;
}

static void ask_for(struct fixture *f, enum report_extent extent)
{
	struct peer_listing *listing = NULL;
	struct evbuffer *out = evbuffer_new();
	size_t length;

	report_free(&f->report);
	assert_int_equal(snapshot_write(&f->source, extent, out), 0);
	if (extent == REPORT_ALL)
		listing = peer_listing_new(&f->data_plane);
	while (listing && peer_listing_next(listing, out) > 0) {
		if (f->between)
			f->between(f);
	}
	peer_listing_free(listing);
	length = evbuffer_get_length(out);
	assert_int_equal(
		report_decode(evbuffer_pullup(out, (ssize_t)length), length, &f->report), 0);
	evbuffer_free(out);
}

static void ask(struct fixture *f)
{
	ask_for(f, REPORT_ALL);
}

static struct report_peer *peer(struct fixture *f, uint32_t kind)
{
	for (uint32_t i = 0; i < f->report.header.n_peers; i++)
		if (f->report.peers[i].kind == kind)
			return &f->report.peers[i];
	fail_msg("there is no such peer");
	return NULL;
}

static struct plane_usage *usage(struct fixture *f, uint32_t kind)
{
	return fake_plane_usage(&f->fake, (struct ipv4){0x0a000001 + kind});
}

static void it_has_the_endpoint_its_pool_and_its_peers(void **state)
{
	struct fixture *f = *state;
	const struct report_endpoint *endpoint;

	f->clock.ms += 5000;
	usage(f, WIREGUARD)->outer.value = 0xc6336409;
	usage(f, WIREGUARD)->handshake_ns = UINT64_C(1700000000999999999);
	ask(f);
	endpoint = f->report.endpoints;
	assert_int_equal(f->report.header.n_endpoints, 1);
	assert_string_equal(f->report.header.plane, "fake");
	assert_string_equal(f->report.header.pin, "sha256//pin");
	assert_string_equal(endpoint->interface, "vprox3");
	assert_int_equal(endpoint->port, 50230);
	assert_int_equal(endpoint->pool_capacity, 253);
	assert_int_equal(endpoint->pool_taken, 2);
	assert_int_equal(f->report.header.n_peers, 2);
	assert_int_equal(peer(f, REPORT_WIREGUARD)->outer.value, 0xc6336409);
	assert_int_equal(peer(f, REPORT_WIREGUARD)->handshake_s, 1700000000);
	assert_int_equal(peer(f, REPORT_WIREGUARD)->connected_ms, 5000);
	assert_int_equal(peer(f, REPORT_WIREGUARD)->idle_ms, 0);
	assert_int_equal(peer(f, REPORT_IPIP)->outer.value, 0xc6336401);
	assert_int_equal(peer(f, REPORT_IPIP)->idle_ms, 5000);
}

static void sums_have_no_peers_and_do_not_read_the_plane(void **state)
{
	struct fixture *f = *state;

	usage(f, IPIP)->received = 7;
	f->clock.ms += 9000;
	ask_for(f, REPORT_SUMS);
	assert_int_equal(f->report.header.extent, REPORT_SUMS);
	assert_int_equal(f->report.header.n_peers, 0);
	assert_int_equal(f->report.endpoints[0].n_wireguard, 1);
	assert_int_equal(f->report.endpoints[0].n_ipip, 1);
	assert_int_equal(f->report.endpoints[0].received, 0);
	assert_int_equal(f->report.endpoints[0].age_ms, 9000);
	ask(f);
	assert_int_equal(f->report.endpoints[0].received, 7);
}

static void what_has_happened_to_peers_is_counted(void **state)
{
	struct fixture *f = *state;
	struct client_request request = {.operation = IPC_CONNECT_IPIP, .source = {0xc6336401}};
	const uint64_t *counts;

	usage(f, WIREGUARD)->outer.value = 0xc6336409;
	usage_read(&f->endpoint);
	usage(f, WIREGUARD)->outer.value = 0xc633640a;
	usage_read(&f->endpoint);
	endpoint_handle(&f->endpoint, &request, &(struct reply_to){0});
	request.operation = IPC_DISCONNECT_IPIP;
	endpoint_handle(&f->endpoint, &request, &(struct reply_to){0});
	while (removals_flush(&f->endpoint.removals)) {
	}
	ask_for(f, REPORT_SUMS);
	counts = f->report.endpoints[0].counts;
	assert_int_equal(counts[REPORT_COUNTED_GRANTED], 2);
	assert_int_equal(counts[REPORT_COUNTED_GRANTED_AGAIN], 1);
	assert_int_equal(counts[REPORT_COUNTED_MOVED], 1);
	assert_int_equal(counts[REPORT_COUNTED_REMOVED_ASKED], 1);
	assert_int_equal(counts[REPORT_COUNTED_REMOVED_IDLE], 0);
	assert_int_equal(f->report.endpoints[0].n_ipip, 0);
}

static void the_plane_is_not_read_again_within_a_second(void **state)
{
	struct fixture *f = *state;

	f->clock.ms += 1000;
	ask(f);
	usage(f, IPIP)->received = 7;
	f->clock.ms += 999;
	ask(f);
	assert_int_equal(peer(f, REPORT_IPIP)->received, 0);
	assert_int_equal(f->report.endpoints[0].age_ms, 999);
	f->clock.ms += 1;
	ask(f);
	assert_int_equal(peer(f, REPORT_IPIP)->received, 7);
	assert_int_equal(f->report.endpoints[0].age_ms, 0);
}

static void a_plane_that_is_slow_to_read_is_read_as_much_more_seldom(void **state)
{
	struct fixture *f = *state;

	f->endpoint.read_took_ms = 200;
	usage(f, IPIP)->received = 7;
	f->clock.ms += 3999;
	ask(f);
	assert_int_equal(peer(f, REPORT_IPIP)->received, 0);
	f->clock.ms += 1;
	ask(f);
	assert_int_equal(peer(f, REPORT_IPIP)->received, 7);
}

static void a_plane_that_cannot_be_read_leaves_what_was_known(void **state)
{
	struct fixture *f = *state;

	usage(f, IPIP)->received = 7;
	f->clock.ms += 1000;
	ask(f);
	f->fake.device_is_lost = true;
	f->clock.ms += 9000;
	ask(f);
	assert_int_equal(peer(f, REPORT_IPIP)->received, 7);
	assert_int_equal(f->report.endpoints[0].age_ms, 9000);
}

static void a_rate_is_the_mean_since_the_reading_before(void **state)
{
	struct fixture *f = *state;

	usage(f, IPIP)->received = 4000;
	usage(f, IPIP)->sent = 1000;
	f->clock.ms += 2000;
	ask(f);
	assert_int_equal(peer(f, REPORT_IPIP)->received_rate, 2000);
	assert_int_equal(peer(f, REPORT_IPIP)->sent_rate, 500);
	f->clock.ms += 1000;
	ask(f);
	assert_int_equal(peer(f, REPORT_IPIP)->received_rate, 0);
	/* A reading shortly after another one does not make it jump. */
	usage(f, IPIP)->received = 4100;
	f->clock.ms += 1;
	usage_read(&f->endpoint);
	ask(f);
	assert_int_equal(peer(f, REPORT_IPIP)->received_rate, 0);
	f->clock.ms += 999;
	usage_read(&f->endpoint);
	ask(f);
	assert_int_equal(peer(f, REPORT_IPIP)->received_rate, 100);
}

static void counters_that_were_set_back_make_no_giant_rate_and_no_loss_in_the_sum(void **state)
{
	struct fixture *f = *state;

	usage(f, IPIP)->received = 4000;
	f->clock.ms += 1000;
	ask(f);
	usage(f, IPIP)->received = 10;
	f->clock.ms += 1000;
	ask(f);
	assert_int_equal(peer(f, REPORT_IPIP)->received_rate, 0);
	assert_int_equal(f->report.endpoints[0].received, 4010);
}

static void the_sum_of_an_endpoint_outlives_its_peers(void **state)
{
	struct fixture *f = *state;
	struct client_request request = {.operation = IPC_DISCONNECT_IPIP, .source = {0xc6336401}};

	usage(f, IPIP)->received = 4000;
	usage(f, WIREGUARD)->sent = 5;
	f->clock.ms += 1000;
	ask(f);
	endpoint_handle(&f->endpoint, &request, &(struct reply_to){0});
	while (removals_flush(&f->endpoint.removals)) {
	}
	f->clock.ms += 1000;
	ask(f);
	assert_int_equal(f->report.header.n_peers, 1);
	assert_int_equal(f->report.endpoints[0].received, 4000);
	assert_int_equal(f->report.endpoints[0].sent, 5);
}

static void what_adopted_peers_used_before_counts_for_no_rate_and_no_sum(void **state)
{
	struct fixture *f = *state;

	usage(f, IPIP)->received = 1 << 30;
	endpoint_close(&f->endpoint, true);
	assert_int_equal(endpoint_open(&f->endpoint, NULL), 0);
	f->clock.ms += 1000;
	ask(f);
	assert_int_equal(peer(f, REPORT_IPIP)->received, 1 << 30);
	assert_int_equal(peer(f, REPORT_IPIP)->received_rate, 0);
	assert_int_equal(f->report.endpoints[0].received, 0);
}

static void what_stays_when_the_server_goes_is_told(void **state)
{
	struct fixture *f = *state;

	ask(f);
	assert_int_equal(f->report.endpoints[0].is_kept, false);
	f->endpoint.keep = true;
	f->source.is_draining = true;
	ask(f);
	assert_int_equal(f->report.endpoints[0].is_kept, true);
	assert_int_equal(f->report.header.is_draining, true);
}

enum {
	MANY = 3000, /* some pieces */
};

static void what_the_plane_drops_as_spoofed_is_among_what_is_refused(void **state)
{
	struct fixture *f = *state;

	f->fake.n_spoofed = 7;
	ask_for(f, REPORT_SUMS);
	assert_int_equal(f->report.header.refused[REPORT_REFUSED_SPOOFED], 7);
}

static struct plane_peer many(uint32_t i)
{
	return (struct plane_peer){
		.kind = PEER_IPIP, .inner = {0x0a800000 + i}, .remote = {0xc6640000 + i}};
}

static void add_many(struct fixture *f, uint32_t from, uint32_t n)
{
	for (uint32_t i = from; i < from + n; i++) {
		const struct plane_peer id = many(i);
		struct client_name name = {{0}};
		struct peer *peer = peers_add(&f->endpoint.peers, &id, START_MS);

		assert_non_null(peer);
		if (i % 3 == 0)
			snprintf(name.s, sizeof name.s, "token:%u", i % 300);
		assert_int_equal(peers_set_name(&f->endpoint.peers, peer, &name), 0);
	}
}

/* Every one of those of add_many() from the first on is there once, and has its name. */
static void assert_listed(const struct fixture *f, uint32_t from, uint32_t n)
{
	uint8_t *times = calloc(n, 1);

	for (uint32_t i = 0; i < f->report.header.n_peers; i++) {
		const struct report_peer *peer = &f->report.peers[i];
		const uint32_t number = peer->inner.value - 0x0a800000;
		char name[32] = "";

		if (number < from || number >= from + n)
			continue;
		if (number % 3 == 0)
			snprintf(name, sizeof name, "token:%u", number % 300);
		assert_string_equal(report_peer_name(&f->report, peer), name);
		times[number - from]++;
	}
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(times[i], 1);
	free(times);
}

static void peers_and_their_names_are_told_in_pieces(void **state)
{
	struct fixture *f = *state;

	add_many(f, 0, MANY);
	ask(f);
	assert_int_equal(f->report.header.n_peers, MANY + 2);
	assert_listed(f, 0, MANY);
}

static void come_and_go(struct fixture *f)
{
	const uint32_t n = MANY / 10;
	struct plane_peer id;

	add_many(f, 2 * MANY + f->n_between * n, n);
	for (uint32_t i = MANY + f->n_between * 10; i < MANY + f->n_between * 10 + 10; i++) {
		id = many(i);
		peers_remove(&f->endpoint.peers, peers_find(&f->endpoint.peers, &id));
	}
	f->n_between++;
}

static void who_is_there_all_the_time_is_told_once_though_others_come_and_go(void **state)
{
	struct fixture *f = *state;

	add_many(f, 0, 2 * MANY);
	f->between = come_and_go;
	ask(f);
	assert_true(f->n_between > 5);
	assert_listed(f, 0, MANY);
	assert_listed(f, MANY + f->n_between * 10, MANY - f->n_between * 10);
}

static void close_endpoint(struct fixture *f)
{
	if (f->n_between++ > 0)
		return;
	endpoint_close(&f->endpoint, false);
	assert_int_equal(f->endpoint.state, ENDPOINT_DESCRIBED);
}

static void an_endpoint_may_close_while_its_peers_are_told(void **state)
{
	struct fixture *f = *state;

	add_many(f, 0, MANY);
	f->between = close_endpoint;
	ask(f);
	assert_int_equal(f->n_between, 1);
	assert_in_range(f->report.header.n_peers, 500, MANY);
	assert_int_equal(endpoint_open(&f->endpoint, NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_has_the_endpoint_its_pool_and_its_peers),
		TEST(peers_and_their_names_are_told_in_pieces),
		TEST(who_is_there_all_the_time_is_told_once_though_others_come_and_go),
		TEST(an_endpoint_may_close_while_its_peers_are_told),
		TEST(sums_have_no_peers_and_do_not_read_the_plane),
		TEST(what_has_happened_to_peers_is_counted),
		TEST(the_plane_is_not_read_again_within_a_second),
		TEST(a_plane_that_is_slow_to_read_is_read_as_much_more_seldom),
		TEST(a_plane_that_cannot_be_read_leaves_what_was_known),
		TEST(a_rate_is_the_mean_since_the_reading_before),
		TEST(counters_that_were_set_back_make_no_giant_rate_and_no_loss_in_the_sum),
		TEST(the_sum_of_an_endpoint_outlives_its_peers),
		TEST(what_adopted_peers_used_before_counts_for_no_rate_and_no_sum),
		TEST(what_stays_when_the_server_goes_is_told),
		TEST(what_the_plane_drops_as_spoofed_is_among_what_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
