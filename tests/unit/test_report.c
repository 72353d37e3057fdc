/* The answer of the control socket, taken apart, chosen from and printed. */
#include "addresses.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd/show_report.h"
#include "cmd/show_table.h"
#include "cmd/terminal_text.h"
#include "ipc/report.h"
#include "metrics/exposition.h"

enum {
	N_GATES = 2,
	N_ENDPOINTS = 2,
	N_PEERS = 4,
	N_NAMES = 1,
	NOW_S = 2000000000,
};

/* As it is on the wire. */
struct answer {
	struct report_header header;
	struct report_process gates[N_GATES];
	struct report_process signers[1];
	struct report_other others[1];
	struct report_endpoint endpoints[N_ENDPOINTS];
	struct report_piece first;
	struct report_peer first_peers[1];
	struct report_piece second;
	struct client_name names[N_NAMES];
	struct report_peer peers[N_PEERS - 1];
	struct report_piece last;
};

static struct report_endpoint endpoint(unsigned int index, const char *bind, const char *block)
{
	struct report_endpoint endpoint = {.index = index,
		.bind = ipv4(bind),
		.public_key = {{(uint8_t)(index + 1)}},
		.port = 50227 + index,
		.pool_capacity = 253,
		.pool_taken = 2,
		.n_wireguard = 1,
		.n_ipip = 1,
		.received = 5000,
		.sent = 7000,
		.age_ms = 1500,
		.clock_behind_s = 3600 * index};
	const struct prefix range = prefix(block);

	snprintf(endpoint.interface, sizeof endpoint.interface, "vprox%u", index);
	endpoint.block = range.address;
	endpoint.block_length = range.length;
	endpoint.gateway.value = range.address.value + 1;
	return endpoint;
}

/* In no order, as a server's tables have it. */
static struct answer answer(void)
{
	struct answer answer = {
		.header = {.version = REPORT_VERSION,
			.n_gates = N_GATES,
			.n_signers = 1,
			.n_others = 1,
			.audit = {.is_there = 1, .is_failing = 1, .n_lost = 3},
			.flows = {.is_there = 1,
				.n_written = 5000000000,
				.n_unheard = 17,
				.n_unwritten = 4},
			.store = {.is_there = 1,
				.n_behind = 2,
				.process = {.pid = 4714, .is_ready = 1},
				.n_refused = 5,
				.n_addresses = 7,
				.n_need_second_key = 3,
				.n_standby = 4,
				.n_standby_peers = 900,
				.standby_memory = 3 << 20,
				.needs_second_key = {0xcb007109},
				.clock_ahead_s = 90},
			.n_endpoints = N_ENDPOINTS,
			.pid = 4711,
			.n_tracked = 1733,
			.max_tracked = 262144,
			.refused = {[REPORT_REFUSED_HOST] = 3, [REPORT_REFUSED_IPV6] = 9},
			.uptime_ms = 3723000,
			.release = "1.2.3",
			.plane = "kernel",
			.pin = "sha256//AAAA"},
		.gates = {{.number = 0, .pid = 4712, .is_ready = 1, .uptime_ms = 1000},
			{.number = 1, .n_restarts = 3}},
		.signers = {{.number = 0, .pid = 4713, .is_ready = 1, .n_restarts = 1}},
		.others = {{.name = "metrics", .process = {.pid = 4715, .is_ready = 1}}},
		.endpoints = {endpoint(0, "203.0.113.7", "10.100.0.0/24"),
			endpoint(1, "203.0.113.8", "10.100.1.0/24")},
		.first = {.n_peers = 1},
		.first_peers = {{.endpoint = 1,
			.kind = REPORT_WIREGUARD,
			.inner = ipv4("10.100.1.2"),
			.key = {{9}}}},
		.second = {.n_names = N_NAMES, .n_peers = N_PEERS - 1},
		.names = {{"token:ci"}},
		.peers = {{.endpoint = 0,
				  .kind = REPORT_IPIP,
				  .inner = ipv4("10.100.0.3"),
				  .outer = ipv4("198.51.100.3"),
				  .received = 2048,
				  .idle_ms = 61000},
			{.endpoint = 1,
				.kind = REPORT_IPIP,
				.inner = ipv4("10.100.1.10"),
				.outer = ipv4("198.51.100.3")},
			{.endpoint = 0,
				.kind = REPORT_WIREGUARD,
				.name = 1,
				.inner = ipv4("10.100.0.2"),
				.outer = ipv4("198.51.100.2"),
				.key = {{7}},
				.received = 100,
				.sent = UINT64_C(3) << 20,
				.received_rate = 512,
				.sent_rate = 1024,
				.handshake_s = NOW_S - 90,
				.idle_ms = 5000,
				.connected_ms = 600000}}};

	return answer;
}

static struct report decoded(void)
{
	const struct answer whole = answer();
	struct report report;

	assert_int_equal(report_decode(&whole, sizeof whole, &report), 0);
	return report;
}

static struct report chosen(const struct report_choice *choice)
{
	struct report report = decoded();

	assert_true(report_choose(&report, choice));
	return report;
}

static void an_answer_is_taken_apart_as_it_was_put_together(void **state)
{
	const struct answer whole = answer();
	struct report report = decoded();

	(void)state;
	assert_int_equal(report.header.n_peers, N_PEERS);
	assert_int_equal(report.header.n_names, N_NAMES);
	report.header.n_peers = report.header.n_names = 0;
	assert_memory_equal(&report.header, &whole.header, sizeof whole.header);
	assert_memory_equal(report.gates, whole.gates, sizeof whole.gates);
	assert_memory_equal(report.signers, whole.signers, sizeof whole.signers);
	assert_memory_equal(report.others, whole.others, sizeof whole.others);
	assert_memory_equal(report.endpoints, whole.endpoints, sizeof whole.endpoints);
	assert_memory_equal(report.peers, whole.first_peers, sizeof whole.first_peers);
	assert_memory_equal(report.peers + 1, whole.peers, sizeof whole.peers);
	report_free(&report);
}

static void an_answer_that_is_cut_off_anywhere_or_too_long_is_refused(void **state)
{
	const struct answer whole = answer();
	uint8_t *copy = calloc(1, sizeof whole + 1);
	struct report report;

	(void)state;
	memcpy(copy, &whole, sizeof whole);
	for (size_t length = 0; length < sizeof whole; length++) {
		uint8_t *part = malloc(length + 1); /* a sanitizer sees what is read behind it */

		memcpy(part, copy, length);
		assert_int_equal(report_decode(part, length, &report), -EPROTO);
		free(part);
	}
	assert_int_equal(report_decode(copy, sizeof whole + 1, &report), -EPROTO);
	free(copy);
}

static void of_another_version_nothing_but_that_is_read(void **state)
{
	const uint32_t version = REPORT_VERSION + 1;
	struct report report;

	(void)state;
	assert_int_equal(report_decode(&version, sizeof version, &report), -EPROTONOSUPPORT);
}

static void what_is_out_of_range_is_refused(void **state)
{
	struct report report;

	(void)state;
	for (int i = 0; i < 16; i++) {
		struct answer bad = answer();

		switch (i) {
		case 0:
			bad.header.n_peers = UINT32_MAX;
			break;
		case 1:
			bad.header.n_gates = REPORT_MAX_GATES + 1;
			break;
		case 2:
			bad.header.n_endpoints = UINT32_MAX;
			break;
		case 3:
			memset(bad.header.pin, 'x', sizeof bad.header.pin);
			break;
		case 4:
			memset(bad.endpoints[1].interface, 'x', REPORT_NAME_SIZE);
			break;
		case 5:
			bad.endpoints[0].block_length = 33;
			break;
		case 6:
			bad.peers[2].endpoint = N_ENDPOINTS;
			break;
		case 7:
			bad.peers[2].kind = REPORT_KIND_END;
			break;
		case 8:
			bad.peers[2].name = N_NAMES + 1;
			break;
		case 9:
			bad.names[0] = (struct client_name){"token:a\x1b[2J"};
			break;
		case 10:
			bad.header.n_names = UINT32_MAX;
			break;
		case 11:
			bad.first.n_peers = UINT32_MAX;
			break;
		case 12:
			bad.second.n_names = N_PEERS;
			break;
		case 13:
			bad.first_peers[0].name = 1; /* of the second piece */
			break;
		case 14:
			bad.last.n_names = 1;
			break;
		default:
			bad.peers[0].kind = 0;
			break;
		}
		assert_int_equal(report_decode(&bad, sizeof bad, &report), -EPROTO);
	}
}

static void peers_are_put_in_the_order_of_their_inner_addresses(void **state)
{
	static const char *const order[] = {
		"10.100.0.2", "10.100.0.3", "10.100.1.2", "10.100.1.10"};
	struct report report = chosen(&(struct report_choice){0});

	(void)state;
	assert_int_equal(report.header.n_peers, N_PEERS);
	for (size_t i = 0; i < N_PEERS; i++)
		assert_string_equal(ipv4_text(report.peers[i].inner).s, order[i]);
	report_free(&report);
}

static void a_choice_leaves_out_everything_else(void **state)
{
	const struct report_choice by_endpoint = {
		.of_endpoint = true, .endpoint = ipv4("203.0.113.8")};
	const struct report_choice by_outer = {.of_address = true, .address = ipv4("198.51.100.3")};
	const struct report_choice by_inner = {.of_address = true, .address = ipv4("10.100.1.2")};
	const struct report_choice by_key = {.of_key = true, .key = {{7}}};
	struct report report = chosen(&by_endpoint);

	(void)state;
	assert_int_equal(report.header.n_endpoints, 1);
	assert_int_equal(report.endpoints[0].index, 1);
	assert_int_equal(report.header.n_peers, 2);
	assert_int_equal(report.peers[1].endpoint, 0);
	report_free(&report);

	report = chosen(&by_outer);
	assert_int_equal(report.header.n_endpoints, 2);
	assert_int_equal(report.header.n_peers, 2);
	report_free(&report);

	report = chosen(&by_inner);
	assert_int_equal(report.header.n_endpoints, 1);
	assert_int_equal(report.endpoints[report.peers[0].endpoint].index, 1);
	report_free(&report);

	report = chosen(&by_key);
	assert_int_equal(report.header.n_peers, 1);
	assert_string_equal(ipv4_text(report.peers[0].inner).s, "10.100.0.2");
	report_free(&report);
}

static void a_choice_that_nothing_meets_is_told(void **state)
{
	/* The all-zero key is no IPIP peer's. */
	const struct report_choice nobody[] = {{.of_key = true},
		{.of_address = true, .address = ipv4("10.100.0.9")},
		{.of_endpoint = true, .endpoint = ipv4("203.0.113.9")},
		{.of_endpoint = true,
			.endpoint = ipv4("203.0.113.8"),
			.of_address = true,
			.address = ipv4("10.100.0.2")}};

	(void)state;
	for (size_t i = 0; i < sizeof nobody / sizeof *nobody; i++) {
		struct report report = decoded();

		assert_false(report_choose(&report, &nobody[i]));
		report_free(&report);
	}
}

/* What a printing function writes. */
enum format { TEXT, JSON, JSON_LINE, METRICS };

static char *printed(enum format format)
{
	struct report report = chosen(&(struct report_choice){0});
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	if (format == TEXT)
		report_print_text(&report, NOW_S, &(struct text_style){0}, out);
	else if (format == METRICS)
		exposition_print(&report, out);
	else
		assert_int_equal(report_print_json(&report, format == JSON_LINE, out), 0);
	fclose(out);
	report_free(&report);
	return text;
}

/* It is written in pieces. */
static void the_json_is_what_one_writes_who_has_all_of_it(void **state)
{
	const enum format formats[] = {JSON, JSON_LINE};

	(void)state;
	for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
		const bool on_one_line = formats[i] == JSON_LINE;
		char *text = printed(formats[i]), *whole;
		json_t *all = json_loads(text, 0, NULL);

		assert_non_null(all);
		whole = json_dumps(all, on_one_line ? JSON_COMPACT : JSON_INDENT(2));
		assert_int_equal(text[strlen(text) - 1], '\n');
		text[strlen(text) - 1] = '\0';
		assert_string_equal(text, whole);
		free(text);
		free(whole);
		json_decref(all);
	}
}

static void the_json_object_has_the_fields_that_the_manual_names(void **state)
{
	char *text = printed(JSON);
	json_error_t error;
	json_t *all = json_loads(text, 0, &error), *first, *second, *endpoint_0;
	const char *address, *interface, *block, *gateway, *key, *release, *plane, *pin;
	const char *store;
	json_t *process;
	int behind, not_taken, ahead, needed, addresses;
	int pid, capacity, taken, port, index, stays, lost, stopping;
	int tracked, max_tracked, full, refused[REPORT_N_REFUSALS];
	json_int_t flows, uptime, received, sent, age, late, memory;
	int standby[2], unaudited, unlogged[2], fails[2];

	(void)state;
	assert_non_null(all);
	assert_int_equal(
		json_unpack_ex(all, &error, JSON_STRICT,
			"{s:s, s:i, s:I, s:s, s:s, s:b, s:[{s:i, s:i, s:b, s:i, s:i}, {s:i, "
			"s:n, s:b, s:i, s:i}], s:[{s:i, s:i, s:b, s:i, s:i}], s:{s:s, s:i, s:o, "
			"s:i, s:i, s:{s:i, s:i}, s:{s:i, s:i, s:I}}, "
			"s:[o, *], s:{s:i, "
			"s:i, s:b}, "
			"s:{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i}, "
			"s:{s:i, s:b}, s:{s:I, s:{s:i, s:i}, s:b}}",
			"version", &release, "pid", &pid, "uptime_ms", &uptime, "plane", &plane,
			"tls_pin", &pin, "stopping", &stopping, "gates", "number", &(int){0}, "pid",
			&(int){0}, "ready", &(int){0}, "restarts", &(int){0}, "uptime_ms",
			&(int){0}, "number", &(int){0}, "pid", "ready", &(int){0}, "restarts",
			&(int){0}, "uptime_ms", &(int){0}, "signers", "number", &(int){0}, "pid",
			&(int){0}, "ready", &(int){0}, "restarts", &(int){0}, "uptime_ms",
			&(int){0}, "store", "kind", &store, "behind", &behind, "process", &process,
			"refused", &not_taken, "clock_ahead_s", &ahead, "second_key", "needed_by",
			&needed, "addresses", &addresses, "standby", "addresses", &standby[0],
			"peers", &standby[1], "memory_bytes", &memory, "endpoints", &endpoint_0,
			"tracking", "connections", &tracked, "max", &max_tracked, "full", &full,
			"refused_packets", "destination", &refused[0], "host", &refused[1],
			"protocol", &refused[2], "error", &refused[3], "rate", &refused[4], "flows",
			&refused[5], "full", &refused[6], "ipv6", &refused[7], "spoofed",
			&refused[8], "peers", &refused[9], "unasked", &refused[10], "unknown",
			&refused[11], "audit", "lost", &unaudited, "failing", &fails[0], "flow_log",
			"flows", &flows, "lost", "rate", &unlogged[0], "file", &unlogged[1],
			"failing", &fails[1]),
		0);
	assert_string_equal(store, "local");
	assert_int_equal(behind, 2);
	assert_int_equal(standby[0], 4);
	assert_int_equal(standby[1], 900);
	assert_int_equal(memory, 3 << 20);
	assert_int_equal(not_taken, 5);
	assert_int_equal(ahead, 90);
	assert_int_equal(needed, 3);
	assert_int_equal(addresses, 7);
	assert_int_equal(json_integer_value(json_object_get(process, "pid")), 4714);
	assert_int_equal(tracked, 1733);
	assert_int_equal(max_tracked, 262144);
	assert_int_equal(full, 0);
	assert_int_equal(unaudited, 3);
	assert_true(fails[0] && !fails[1]);
	assert_int_equal(flows, 5000000000);
	assert_int_equal(unlogged[0], 17);
	assert_int_equal(unlogged[1], 4);
	assert_int_equal(refused[1], 3);
	assert_int_equal(refused[7], 9);
	assert_int_equal(pid, 4711);
	assert_int_equal(uptime, 3723000);
	assert_int_equal(
		json_unpack_ex(endpoint_0, &error, JSON_STRICT,
			"{s:s, s:i, s:s, s:s, s:s, s:s, s:i, s:b, s:b, s:{s:i, s:i}, s:I, s:I, "
			"s:I, s:I, s:[o, o]}",
			"address", &address, "index", &index, "interface", &interface, "gateway",
			&gateway, "block", &block, "public_key", &key, "port", &port, "stays",
			&stays, "lost", &lost, "pool", "capacity", &capacity, "taken", &taken,
			"received_bytes", &received, "sent_bytes", &sent, "age_ms", &age,
			"clock_behind_s", &late, "peers", &first, &second),
		0);
	assert_string_equal(address, "203.0.113.7");
	assert_string_equal(block, "10.100.0.0/24");
	assert_string_equal(gateway, "10.100.0.1");
	assert_int_equal(port, 50227);
	assert_int_equal(taken, 2);
	assert_int_equal(received, 5000);
	assert_string_equal(json_string_value(json_object_get(first, "kind")), "wireguard");
	assert_int_equal(json_object_size(first), 12);
	assert_string_equal(json_string_value(json_object_get(first, "name")), "token:ci");
	assert_int_equal(json_integer_value(json_object_get(first, "last_handshake")), NOW_S - 90);
	assert_int_equal(json_integer_value(json_object_get(first, "sent_bytes")), 3 << 20);
	assert_int_equal(json_integer_value(json_object_get(first, "sent_bytes_per_s")), 1024);
	assert_int_equal(json_integer_value(json_object_get(first, "connected_ms")), 600000);
	assert_int_equal(json_object_size(second), 12);
	assert_true(json_is_null(json_object_get(second, "name")));
	assert_string_equal(json_string_value(json_object_get(second, "kind")), "ipip");
	assert_true(json_is_null(json_object_get(second, "public_key")));
	assert_true(json_is_null(json_object_get(second, "last_handshake")));
	assert_string_equal(json_string_value(json_object_get(second, "outer")), "198.51.100.3");
	assert_int_equal(json_integer_value(json_object_get(second, "idle_ms")), 61000);
	json_decref(all);
	free(text);
}

static void on_one_line_it_is_one_line(void **state)
{
	char *text = printed(JSON_LINE);

	(void)state;
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	free(text);
}

static void the_text_has_a_line_for_each_peer(void **state)
{
	static const char *const parts[] = {
		"vprox 1.2.3: process 4711, up 1h 2m, kernel data plane\n",
		"TLS public key: sha256//AAAA\n", "gates: 4712 (dead), replaced 3 times\n",
		"signer: 4713, replaced 1 times\n", "endpoint: 203.0.113.7\n",
		"interface: vprox0, address 10.100.0.1/24\n", "listening port: 50228\n",
		"10.100.1.0/24, 2 of 253 addresses taken\n", "peers: 1 WireGuard, 1 IPIP\n",
		"clock: 1h 0m behind the latest handshakes\n",
		"4.88 KiB received, 6.84 KiB sent; 512 B/s and "};
	char *text = printed(TEXT);

	(void)state;
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		assert_non_null(strstr(text, parts[i]));
	assert_non_null(strstr(text, "\n  10.100.0.2     WireGuard  198.51.100.2"));
	assert_non_null(
		strstr(text, "  1m 30s      5s     100 B  3.00 MiB    512 B/s  1.00 KiB/s"));
	assert_non_null(strstr(text, "\n  10.100.0.3     IPIP       198.51.100.3           -"));
	assert_non_null(strstr(text, "\n  10.100.1.2     WireGuard  -                  never"));
	free(text);
}

/* The table of two peers with as much in each cell as there can be. */
static char *full_table(size_t columns, bool has_colour)
{
	const struct text_style style = {.columns = columns, .has_colour = has_colour};
	const uint64_t most = UINT64_C(1019) << 20;
	const struct report report = {0};
	struct report_peer peers[2] = {{.kind = REPORT_WIREGUARD,
		.inner = ipv4("172.116.100.102"),
		.outer = ipv4("198.151.100.102"),
		.key = {{7}},
		.handshake_s = NOW_S - 100 * 86400,
		.idle_ms = 59 * 60000 + 59000,
		.received = most,
		.sent = most,
		.received_rate = most,
		.sent_rate = most}};
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	peers[1] = peers[0];
	peers[1].kind = REPORT_IPIP;
	show_table(&report, peers, 2, NOW_S, &style, out);
	fclose(out);
	return text;
}

static size_t widest_line(const char *text)
{
	size_t widest = 0;

	for (; *text; text += strcspn(text, "\n"), text += *text == '\n')
		if (strcspn(text, "\n") > widest)
			widest = strcspn(text, "\n");
	return widest;
}

static void the_fullest_table_fits_80_columns_with_rates_and_keys(void **state)
{
	char *text = full_table(80, false);

	(void)state;
	assert_in_range(widest_line(text), 60, 80);
	assert_non_null(strstr(text, "  172.116.100.102  WG    198.151.100.102  "));
	assert_non_null(strstr(text, "   1019M   1019M  BwAA...AAA=\n"));
	assert_non_null(strstr(text, "  recv/s  sent/s  key\n"));
	free(text);
}

static void with_room_for_all_a_table_has_all_and_else_it_fits(void **state)
{
	static const size_t widths[] = {200, 140, 120, 100, 80, 70, 60, 45};
	size_t before = SIZE_MAX;

	(void)state;
	for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
		char *text = full_table(widths[i], false);

		assert_in_range(widest_line(text), 1, widths[i]);
		assert_true(widest_line(text) <= before);
		assert_true(strstr(text, "receiving") || strstr(text, "recv/s"));
		before = widest_line(text);
		if (i == 0)
			assert_non_null(
				strstr(text, "BwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"));
		free(text);
	}
}

static void colour_changes_nothing_but_colour(void **state)
{
	char *plain = full_table(80, false), *coloured = full_table(80, true);
	const char *from = coloured;
	char *to = coloured;

	(void)state;
	assert_non_null(strstr(coloured, "\033[1m"));
	assert_null(strchr(plain, '\033'));
	while (*from) {
		if (*from == '\033')
			from += strcspn(from, "m") + 1;
		else
			*to++ = *from++;
	}
	*to = '\0';
	assert_string_equal(plain, coloured);
	free(plain);
	free(coloured);
}

static void a_line_that_is_too_wide_goes_on_below(void **state)
{
	const struct text_style style = {.columns = 20};
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	(void)state;
	text_wrap("  gates: \033[1m4711\033[0m 4712 4713 4714\nshort\n"
		  "abcdefghijklmnopqrstuvwxyz\n",
		&style, out);
	fclose(out);
	assert_string_equal(text, "  gates: \033[1m4711\033[0m 4712 \n      4713 4714\nshort\n"
				  "abcdefghijklmnopqrst\n      uvwxyz\n");
	free(text);
}

static void the_metrics_sum_up_each_endpoint(void **state)
{
	static const char *const lines[] = {"vprox_info{version=\"1.2.3\",plane=\"kernel\"} 1\n",
		"vprox_uptime_seconds 3723.000\n", "vprox_gate_up{gate=\"0\"} 1\n",
		"vprox_gate_up{gate=\"1\"} 0\n", "vprox_gate_restarts_total{gate=\"1\"} 3\n",
		"vprox_signer_up{signer=\"0\"} 1\n",
		"vprox_pool_addresses_taken{endpoint=\"203.0.113.8\"} 2\n",
		"vprox_peers{endpoint=\"203.0.113.7\",kind=\"wireguard\"} 1\n",
		"vprox_peers{endpoint=\"203.0.113.8\",kind=\"ipip\"} 1\n",
		"vprox_clock_behind_seconds{endpoint=\"203.0.113.7\"} 0\n",
		"vprox_clock_behind_seconds{endpoint=\"203.0.113.8\"} 3600\n",
		"# TYPE vprox_received_bytes_total counter\n",
		"vprox_received_bytes_total{endpoint=\"203.0.113.7\"} 5000\n",
		"vprox_sent_bytes_total{endpoint=\"203.0.113.8\"} 7000\n"};
	char *text = printed(METRICS);

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		assert_non_null(strstr(text, lines[i]));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_is_taken_apart_as_it_was_put_together),
		cmocka_unit_test(an_answer_that_is_cut_off_anywhere_or_too_long_is_refused),
		cmocka_unit_test(of_another_version_nothing_but_that_is_read),
		cmocka_unit_test(what_is_out_of_range_is_refused),
		cmocka_unit_test(peers_are_put_in_the_order_of_their_inner_addresses),
		cmocka_unit_test(a_choice_leaves_out_everything_else),
		cmocka_unit_test(a_choice_that_nothing_meets_is_told),
		cmocka_unit_test(the_json_is_what_one_writes_who_has_all_of_it),
		cmocka_unit_test(the_json_object_has_the_fields_that_the_manual_names),
		cmocka_unit_test(on_one_line_it_is_one_line),
		cmocka_unit_test(the_text_has_a_line_for_each_peer),
		cmocka_unit_test(the_fullest_table_fits_80_columns_with_rates_and_keys),
		cmocka_unit_test(with_room_for_all_a_table_has_all_and_else_it_fits),
		cmocka_unit_test(colour_changes_nothing_but_colour),
		cmocka_unit_test(a_line_that_is_too_wide_goes_on_below),
		cmocka_unit_test(the_metrics_sum_up_each_endpoint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
