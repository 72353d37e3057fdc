#include "test.h"

#include <errno.h>
#include <string.h>

#include "client/request_message.h"

static void what_is_no_message_is_refused(void **state)
{
	struct request_result result = {.outcome = REQUEST_GRANTED}, copy;
	struct request_server seen = {.certified = 1}, seen_copy;

	(void)state;
	assert_int_equal(request_decode_result(&result, sizeof result, &copy), 0);
	assert_int_equal(request_decode_server(&seen, sizeof seen, &seen_copy), 0);
	assert_int_equal(request_decode_result(&result, sizeof result - 1, &copy), -EPROTO);
	assert_int_equal(request_decode_server(&seen, sizeof seen - 1, &seen_copy), -EPROTO);
	seen.certified = 2;
	assert_int_equal(request_decode_server(&seen, sizeof seen, &seen_copy), -EPROTO);
	result.has_retry_after = 2;
	assert_int_equal(request_decode_result(&result, sizeof result, &copy), -EPROTO);
	result.has_retry_after = 1;
	/* that it refused the server is the client's own to say */
	for (uint32_t outcome = 0; outcome < 10; outcome++) {
		result.outcome = outcome;
		assert_int_equal(request_decode_result(&result, sizeof result, &copy),
			outcome >= REQUEST_GRANTED && outcome <= REQUEST_FAILED ? 0 : -EPROTO);
	}
}

static void name_servers_that_can_be_none_are_left_out(void **state)
{
	struct request_result result = {.outcome = REQUEST_GRANTED,
		.resolvers = {2000000000, {{0x7f000035}, {0x09090909}, {0xa9fea9fe}}}};
	struct request_result copy;

	(void)state;
	assert_int_equal(request_decode_result(&result, sizeof result, &copy), 0);
	assert_string_equal(resolvers_text(&copy.resolvers).s, "9.9.9.9");
}

static void a_name_has_one_address_at_least_and_no_more_than_there_is_room_for(void **state)
{
	struct request_names names, copy;

	(void)state;
	memset(&names, 1, sizeof names);
	for (uint32_t n = 0; n < 2 * REQUEST_ADDRESSES_MAX; n++) {
		names.n = n;
		assert_int_equal(request_decode_names(&names, sizeof names, &copy),
			n >= 1 && n <= REQUEST_ADDRESSES_MAX ? 0 : -EPROTO);
	}
	names.n = 1;
	assert_int_equal(request_decode_names(&names, sizeof names - 1, &copy), -EPROTO);
}

/* 0.0.0.0, in an order, has the process look the name up. */
static void the_address_that_is_none_is_no_names(void **state)
{
	struct request_names names = {.n = 2, .addresses = {{0x01010101}, {0}}}, copy;

	(void)state;
	assert_int_equal(request_decode_names(&names, sizeof names, &copy), -EPROTO);
}

static void texts_have_an_end(void **state)
{
	struct request_result result = {.outcome = REQUEST_FAILED}, copy;
	struct request_server seen = {.certified = 0}, seen_copy;

	(void)state;
	memset(result.text, 'x', sizeof result.text);
	memset(seen.fault, 'x', sizeof seen.fault);
	assert_int_equal(request_decode_result(&result, sizeof result, &copy), 0);
	assert_int_equal(strlen(copy.text), sizeof copy.text - 1);
	assert_int_equal(request_decode_server(&seen, sizeof seen, &seen_copy), 0);
	assert_int_equal(strlen(seen_copy.fault), sizeof seen_copy.fault - 1);
}

static void texts_are_fit_for_a_terminal(void **state)
{
	struct request_result result = {.outcome = REQUEST_FAILED,
		.text = "a\x1b[2Jb\nc\x7f\xc2\x9b"
			"d~"};
	struct request_server seen = {.fault = "\x9b"
					       "31m ok"};
	struct request_result copy;
	struct request_server seen_copy;

	(void)state;
	assert_int_equal(request_decode_result(&result, sizeof result, &copy), 0);
	assert_string_equal(copy.text, "a?[2Jb?c???d~");
	assert_int_equal(request_decode_server(&seen, sizeof seen, &seen_copy), 0);
	assert_string_equal(seen_copy.fault, "?31m ok");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_address_that_is_none_is_no_names),
		cmocka_unit_test(what_is_no_message_is_refused),
		cmocka_unit_test(name_servers_that_can_be_none_are_left_out),
		cmocka_unit_test(
			a_name_has_one_address_at_least_and_no_more_than_there_is_room_for),
		cmocka_unit_test(texts_have_an_end),
		cmocka_unit_test(texts_are_fit_for_a_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
