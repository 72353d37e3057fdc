#include "test.h"

#include <netinet/in.h>
#include <string.h>

#include "flows/flow_line.h"
#include "flows/owners.h"

static const char wireguard[] = "wireguard", ipip[] = "ipip";
static const uint64_t second = 1000000000;
static const struct ipv4 inner = {0x0a640002};

static struct client_name name_of(const char *text)
{
	struct client_name name;

	assert_int_equal(client_name_make(CLIENT_NAME_TOKEN, text, &name), 0);
	return name;
}

static void begin(struct owners *owners, struct ipv4 address, const char *who, uint64_t when_s)
{
	const struct client_name name = name_of(who);

	assert_int_equal(owners_begin(owners, address, wireguard, &name, when_s * second), 0);
}

static void end(struct owners *owners, uint64_t when_s)
{
	owners_end(owners, inner, when_s * second);
}

/* "" if nobody is known. */
static const char *owner_at(const struct owners *owners, uint64_t start_s, uint64_t end_s)
{
	const struct owner *owner = owners_find(owners, inner, start_s * second, end_s * second);

	return owner ? owner->name : "";
}

static int set_up(void **state)
{
	static struct owners owners;

	*state = &owners;
	return owners_init(&owners);
}

static int tear_down(void **state)
{
	owners_free(*state);
	return 0;
}

static void a_flow_is_its_whose_address_it_was_when_it_began(void **state)
{
	struct owners *owners = *state;

	begin(owners, inner, "first", 100);
	end(owners, 200);
	begin(owners, inner, "second", 201);
	end(owners, 300);
	begin(owners, inner, "third", 400);
	assert_string_equal(owner_at(owners, 150, 500), "\"token:first\"");
	assert_string_equal(owner_at(owners, 199, 500), "\"token:first\"");
	assert_string_equal(owner_at(owners, 201, 500), "\"token:second\"");
	assert_string_equal(owner_at(owners, 450, 500), "\"token:third\"");
}

/* The broker tells of a client a moment after the client can send. */
static void what_began_a_moment_before_it_was_told_is_the_clients(void **state)
{
	struct owners *owners = *state;

	begin(owners, inner, "first", 100);
	assert_string_equal(owner_at(owners, 99, 101), "\"token:first\"");
	end(owners, 200);
	begin(owners, inner, "second", 201);
	assert_string_equal(owner_at(owners, 200, 202), "\"token:second\"");
}

static void what_nobody_can_have_begun_is_nobodys(void **state)
{
	struct owners *owners = *state;

	assert_string_equal(owner_at(owners, 100, 100), "");
	begin(owners, inner, "first", 100);
	assert_string_equal(owner_at(owners, 90, 101), "");
	end(owners, 200);
	assert_string_equal(owner_at(owners, 250, 260), "");
}

/* Its connections are ended before the address is another one's. */
static void without_a_beginning_a_flow_is_its_who_was_last_when_it_ended(void **state)
{
	struct owners *owners = *state;

	begin(owners, inner, "first", 100);
	assert_string_equal(owner_at(owners, 0, 150), "\"token:first\"");
	end(owners, 200);
	begin(owners, inner, "second", 202);
	assert_string_equal(owner_at(owners, 0, 201), "\"token:first\"");
	assert_string_equal(owner_at(owners, 0, 203), "\"token:second\"");
}

static void a_client_that_is_there_from_before_has_all_that_began_before(void **state)
{
	struct owners *owners = *state;

	begin(owners, inner, "first", 0);
	assert_string_equal(owner_at(owners, 1, 150), "\"token:first\"");
}

static void another_name_of_the_same_tunnel_counts_from_then_on(void **state)
{
	struct owners *owners = *state;

	begin(owners, inner, "first", 100);
	begin(owners, inner, "first", 120);
	begin(owners, inner, "second", 200);
	assert_int_equal(owners->n_past, 1);
	assert_string_equal(owner_at(owners, 199, 300), "\"token:first\"");
	assert_string_equal(owner_at(owners, 200, 300), "\"token:second\"");
}

/* So a client without a name that was there again and again takes no room. */
static void those_who_went_first_are_forgotten_first_and_no_more_than_that(void **state)
{
	struct owners *owners = *state;

	for (uint32_t i = 0; i < OWNERS_MAX_PAST + 10; i++) {
		const struct ipv4 address = {inner.value + i / 2};

		begin(owners, address, i % 2 ? "odd" : "even", 100 + i);
		owners_end(owners, address, (100 + i) * second);
	}
	assert_int_equal(owners->n_past, OWNERS_MAX_PAST);
	assert_int_equal(owners->addresses.count, OWNERS_MAX_PAST / 2);
	assert_string_equal(owner_at(owners, 100, 100), "");
	assert_non_null(owners_find(owners, (struct ipv4){inner.value + OWNERS_MAX_PAST / 2},
		(100 + OWNERS_MAX_PAST) * second, (100 + OWNERS_MAX_PAST) * second));
}

/* The time that somebody had it at comes twice. */
static void when_the_clock_was_set_back_nobody_has_what_another_begins(void **state)
{
	struct owners *owners = *state;

	begin(owners, inner, "first", 1000);
	end(owners, 1100);
	begin(owners, inner, "second", 1200);
	owners_look_at_clock(owners, 1300 * second);
	assert_string_equal(owner_at(owners, 1050, 1300), "\"token:first\"");
	owners_look_at_clock(owners, 500 * second);
	assert_string_equal(owner_at(owners, 510, 520), "\"token:second\"");
	owners_look_at_clock(owners, 1060 * second);
	assert_string_equal(owner_at(owners, 1050, 1060), "\"token:second\"");
	assert_int_equal(owners->n_past, 0);
}

static void who_went_before_the_time_that_it_was_set_back_to_is_known(void **state)
{
	struct owners *owners = *state;

	begin(owners, inner, "first", 100);
	end(owners, 200);
	begin(owners, inner, "second", 300);
	end(owners, 900);
	begin(owners, inner, "third", 901);
	end(owners, 902);
	owners_look_at_clock(owners, 500 * second);
	begin(owners, inner, "fourth", 501);
	end(owners, 502);
	owners_look_at_clock(owners, 502 * second);
	assert_string_equal(owner_at(owners, 150, 502), "\"token:first\"");
	assert_string_equal(owner_at(owners, 400, 502), "");
	assert_string_equal(owner_at(owners, 501, 502), "\"token:fourth\"");
	assert_int_equal(owners->n_past, 2);
}

static void who_came_after_that_and_before_anybody_looked_has_what_it_begins(void **state)
{
	struct owners *owners = *state;

	begin(owners, inner, "first", 1000);
	end(owners, 1100);
	begin(owners, inner, "second", 500);
	owners_look_at_clock(owners, 510 * second);
	assert_string_equal(owner_at(owners, 505, 510), "\"token:second\"");
	assert_string_equal(owner_at(owners, 490, 510), "");
}

static void a_clock_that_goes_on_forgets_nobody(void **state)
{
	struct owners *owners = *state;

	begin(owners, inner, "first", 100);
	end(owners, 200);
	owners_look_at_clock(owners, 200 * second);
	owners_look_at_clock(owners, 5000 * second);
	assert_string_equal(owner_at(owners, 150, 502), "\"token:first\"");
}

static const struct ended_flow flow = {
	.source = {0x0a640002},
	.destination = {0xc6336450},
	.source_port = 41000,
	.destination_port = 443,
	.seen_as = {0xcb007107},
	.seen_as_port = 2000,
	.protocol = IPPROTO_TCP,
	.start_ns = 1700000000123000000,
	.end_ns = 1700000001000000000,
	.has_amounts = true,
	.out = {3, 180},
	.back = {2, 120},
};

static void a_line_is_an_object_with_all_that_is_known(void **state)
{
	struct owners *owners = *state;
	char line[FLOW_LINE_SIZE];
	size_t length;

	begin(owners, inner, "ci", 100);
	length = flow_line_print(line, &flow, owners_find(owners, inner, flow.start_ns, 0));
	assert_int_equal(length, strlen(line));
	assert_string_equal(line,
		"{\"start\":\"2023-11-14T22:13:20.123Z\",\"end\":\"2023-11-14T22:13:21.000Z\","
		"\"event\":\"flow\",\"name\":\"token:ci\",\"kind\":\"wireguard\","
		"\"inner\":\"10.100.0.2\",\"inner_port\":41000,\"serving\":\"203.0.113.7\","
		"\"serving_port\":2000,\"destination\":\"198.51.100.80\","
		"\"destination_port\":443,\"protocol\":\"tcp\",\"received_bytes\":180,"
		"\"received_packets\":3,\"sent_bytes\":120,\"sent_packets\":2}\n");
}

static void what_is_not_known_is_left_out(void **state)
{
	const struct ended_flow bare = {.source = inner,
		.seen_as = {0xcb007107},
		.protocol = 47,
		.destination = {0xc6336450},
		.end_ns = second};
	char line[FLOW_LINE_SIZE];

	(void)state;
	flow_line_print(line, &bare, NULL);
	assert_string_equal(line,
		"{\"end\":\"1970-01-01T00:00:01.000Z\",\"event\":\"flow\",\"inner\":\"10.100.0.2\","
		"\"serving\":\"203.0.113.7\",\"destination\":\"198.51.100.80\","
		"\"protocol\":\"47\"}\n");
}

static void the_longest_name_of_what_must_be_quoted_is_quoted_and_fits(void **state)
{
	struct owners *owners = *state;
	struct ended_flow largest = flow;
	struct client_name name;
	char text[CLIENT_NAME_SIZE - sizeof "oidc"], line[FLOW_LINE_SIZE + 1];

	memset(text, '"', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	assert_int_equal(client_name_make(CLIENT_NAME_OIDC, text, &name), 0);
	assert_int_equal(owners_begin(owners, inner, ipip, &name, 0), 0);
	largest.out = largest.back = (struct flow_amount){UINT64_MAX, UINT64_MAX};
	largest.source = inner;
	largest.seen_as = largest.destination = (struct ipv4){UINT32_MAX};
	largest.source_port = largest.seen_as_port = largest.destination_port = UINT16_MAX;
	largest.protocol = 255;
	largest.start_ns = largest.end_ns = UINT64_MAX;
	line[FLOW_LINE_SIZE] = 'x';
	assert_true(
		flow_line_print(line, &largest, owners_find(owners, inner, 1, 1)) < FLOW_LINE_SIZE);
	assert_int_equal(line[FLOW_LINE_SIZE], 'x');
	assert_non_null(strstr(line, "\"name\":\"oidc:\\\"\\\"\\\""));
	assert_non_null(strstr(line, "\\\"\",\"kind\":\"ipip\""));
	assert_int_equal(line[strlen(line) - 2], '}');
}

#define OWNERS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		OWNERS_TEST(a_flow_is_its_whose_address_it_was_when_it_began),
		OWNERS_TEST(what_began_a_moment_before_it_was_told_is_the_clients),
		OWNERS_TEST(what_nobody_can_have_begun_is_nobodys),
		OWNERS_TEST(without_a_beginning_a_flow_is_its_who_was_last_when_it_ended),
		OWNERS_TEST(a_client_that_is_there_from_before_has_all_that_began_before),
		OWNERS_TEST(another_name_of_the_same_tunnel_counts_from_then_on),
		OWNERS_TEST(those_who_went_first_are_forgotten_first_and_no_more_than_that),
		OWNERS_TEST(when_the_clock_was_set_back_nobody_has_what_another_begins),
		OWNERS_TEST(who_went_before_the_time_that_it_was_set_back_to_is_known),
		OWNERS_TEST(who_came_after_that_and_before_anybody_looked_has_what_it_begins),
		OWNERS_TEST(a_clock_that_goes_on_forgets_nobody),
		OWNERS_TEST(a_line_is_an_object_with_all_that_is_known),
		OWNERS_TEST(what_is_not_known_is_left_out),
		OWNERS_TEST(the_longest_name_of_what_must_be_quoted_is_quoted_and_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
