#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "gate/request_body.h"

#define ONE "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=" /* 32 bytes of 1 */
#define TWO "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=" /* 32 bytes of 2 */
#define ZERO "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static int parse(const char *text, struct key *key)
{
	/* An exact copy: the body has no NUL behind it. */
	size_t length = strlen(text);
	char *body = malloc(length + !length);
	int error;

	assert_non_null(body);
	memcpy(body, text, length);
	error = request_body_parse(body, length, key);
	free(body);
	return error;
}

static void assert_key(const char *text, uint8_t byte)
{
	struct key key;
	uint8_t expected[KEY_SIZE];

	memset(expected, byte, sizeof expected);
	assert_int_equal(parse(text, &key), 0);
	assert_memory_equal(key.bytes, expected, sizeof expected);
}

static void the_field_is_found_in_any_case_and_the_last_one_counts(void **state)
{
	(void)state;
	assert_key("{\"PeerPublicKey\":\"" ONE "\"}", 1);
	assert_key("{\"peerpublickey\":\"" ONE "\"}", 1);
	assert_key("{\"PEERPUBLICKEY\":\"" ONE "\"}", 1);
	assert_key("{\"PeerPublicKey\":\"" ONE "\",\"PeerPublicKey\":\"" TWO "\"}", 2);
	assert_key("{\"PeerPublicKey\":\"" ONE "\",\"peerPublicKey\":\"" TWO "\"}", 2);
	assert_key("{\"peerPublicKey\":\"" ONE "\",\"PeerPublicKey\":\"" TWO "\"}", 2);
}

static void unknown_fields_are_ignored_whatever_they_hold(void **state)
{
	(void)state;
	assert_key("{\"a\":1,\"PeerPublicKey\":\"" ONE "\",\"b\":[{\"c\":null}]}", 1);
	assert_key("{\"a\":123456789012345678901234567890,\"PeerPublicKey\":\"" ONE "\"}", 1);
	assert_key("{\"a\":\"\\u0000\",\"PeerPublicKey\":\"" ONE "\"}", 1);
	assert_key(" \r\n\t{ \"PeerPublicKey\" : \"" ONE "\" } ", 1);
}

static void null_is_like_no_field(void **state)
{
	struct key key;

	(void)state;
	assert_int_equal(parse("{\"PeerPublicKey\":null}", &key), -EINVAL);
	assert_int_equal(parse("{}", &key), -EINVAL);
	assert_key("{\"PeerPublicKey\":\"" ONE "\",\"peerpublickey\":null}", 1);
}

static void what_is_behind_the_object_is_not_looked_at(void **state)
{
	(void)state;
	assert_key("{\"PeerPublicKey\":\"" ONE "\"} {\"PeerPublicKey\":\"" TWO "\"}", 1);
	assert_key("{\"PeerPublicKey\":\"" ONE "\"}garbage", 1);
}

static void base64_may_have_line_ends_and_trailing_bits(void **state)
{
	(void)state;
	assert_key(
		"{\"PeerPublicKey\":\"AQEBAQEBAQEBAQEB\\r\\nAQEBAQEBAQEBAQEBAQEBAQEBAQE=\\n\"}", 1);
	assert_key("{\"PeerPublicKey\":\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQF=\"}", 1);
}

static void what_is_no_json_object_is_no_request(void **state)
{
	static const char *const bad[] = {"", " ", "null", "[]",
		"[{\"PeerPublicKey\":\"" ONE "\"}]", "\"" ONE "\"", "1", "true", "{",
		"{\"PeerPublicKey\":\"" ONE "\"", "{\"PeerPublicKey\":\"" ONE,
		"{PeerPublicKey:\"" ONE "\"}", "{'PeerPublicKey':'" ONE "'}",
		"{\"PeerPublicKey\":\"" ONE "\",}", "{\"a\":\"\xff\"}", "\xef\xbb\xbf{}",
		"{\"PeerPublicKey\":\"a\nb\"}"};
	struct key key;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(parse(bad[i], &key), -EBADMSG);
	assert_int_equal(request_body_parse("{}\0", 1, &key), -EBADMSG);
}

static void a_field_of_another_type_is_no_request(void **state)
{
	static const char *const values[] = {"1", "true", "[]", "{}", "[\"" ONE "\"]"};
	struct key key;
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		snprintf(text, sizeof text, "{\"PeerPublicKey\":%s}", values[i]);
		assert_int_equal(parse(text, &key), -EBADMSG);
		snprintf(text, sizeof text, "{\"peerpublickey\":%s,\"PeerPublicKey\":\"" ONE "\"}",
			values[i]);
		assert_int_equal(parse(text, &key), -EBADMSG);
	}
}

static void what_is_no_key_is_no_key(void **state)
{
	static const char *const values[] = {"", "AQEB", ZERO,
		"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ==", ONE ONE, "!" ONE,
		"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE", ONE "\\u0000", "\\u0000"};
	struct key key;
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		snprintf(text, sizeof text, "{\"PeerPublicKey\":\"%s\"}", values[i]);
		assert_int_equal(parse(text, &key), -EINVAL);
	}
}

static void deep_nesting_is_refused_and_not_fatal(void **state)
{
	enum { DEPTH = 4096 };
	char text[DEPTH + 1];
	struct key key;

	(void)state;
	memset(text, '[', DEPTH);
	text[DEPTH] = '\0';
	assert_int_equal(parse(text, &key), -EBADMSG);
}

static void a_key_with_which_no_handshake_can_end_is_none(void **state)
{
	struct key key;

	(void)state;
	/* 0, 1, and p + 1 with bit 255 set */
	assert_int_equal(parse("{\"PeerPublicKey\":\"" ZERO "\"}", &key), -EINVAL);
	assert_int_equal(
		parse("{\"PeerPublicKey\":\"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}", &key),
		-EINVAL);
	assert_int_equal(
		parse("{\"PeerPublicKey\":\"7v///////////////////////////////////////////8=\"}",
			&key),
		-EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_with_which_no_handshake_can_end_is_none),
		cmocka_unit_test(the_field_is_found_in_any_case_and_the_last_one_counts),
		cmocka_unit_test(unknown_fields_are_ignored_whatever_they_hold),
		cmocka_unit_test(null_is_like_no_field),
		cmocka_unit_test(what_is_behind_the_object_is_not_looked_at),
		cmocka_unit_test(base64_may_have_line_ends_and_trailing_bits),
		cmocka_unit_test(what_is_no_json_object_is_no_request),
		cmocka_unit_test(a_field_of_another_type_is_no_request),
		cmocka_unit_test(what_is_no_key_is_no_key),
		cmocka_unit_test(deep_nesting_is_refused_and_not_fatal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
