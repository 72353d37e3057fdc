#include "test.h"

#include <errno.h>

#include "client/fetch_message.h"

static void what_is_no_message_is_refused(void **state)
{
	struct fetch_result result = {.outcome = FETCH_GRANTED}, copy;
	struct fetch_seen seen = {.certified = 1}, seen_copy;

	(void)state;
	assert_int_equal(fetch_decode_result(&result, sizeof result, &copy), 0);
	assert_int_equal(fetch_decode_seen(&seen, sizeof seen, &seen_copy), 0);
	assert_int_equal(fetch_decode_result(&result, sizeof result - 1, &copy), -EPROTO);
	assert_int_equal(fetch_decode_seen(&seen, sizeof seen - 1, &seen_copy), -EPROTO);
	seen.certified = 2;
	assert_int_equal(fetch_decode_seen(&seen, sizeof seen, &seen_copy), -EPROTO);
	result.has_retry_after = 2;
	assert_int_equal(fetch_decode_result(&result, sizeof result, &copy), -EPROTO);
	result.has_retry_after = 1;
	/* that it refused the server is the client's own to say */
	for (uint32_t outcome = 0; outcome < 10; outcome++) {
		result.outcome = outcome;
		assert_int_equal(fetch_decode_result(&result, sizeof result, &copy),
			outcome >= FETCH_GRANTED && outcome <= FETCH_FAILED ? 0 : -EPROTO);
	}
}

static void texts_have_an_end(void **state)
{
	struct fetch_result result = {.outcome = FETCH_FAILED}, copy;
	struct fetch_seen seen = {.certified = 0}, seen_copy;

	(void)state;
	memset(result.text, 'x', sizeof result.text);
	memset(seen.fault, 'x', sizeof seen.fault);
	assert_int_equal(fetch_decode_result(&result, sizeof result, &copy), 0);
	assert_int_equal(strlen(copy.text), sizeof copy.text - 1);
	assert_int_equal(fetch_decode_seen(&seen, sizeof seen, &seen_copy), 0);
	assert_int_equal(strlen(seen_copy.fault), sizeof seen_copy.fault - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_message_is_refused),
		cmocka_unit_test(texts_have_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
