#include "test.h"

#include <errno.h>
#include <stdio.h>

#include <jansson.h>

#include "client/token_answer.h"
#include "client/token_source.h"

enum {
	NOW_MS = 1000000,
	NOW_S = 2000000000,
	MINUTES_MS = 60 * 1000,
};

#define URL "https://run-actions-1.example:8443/77//idtoken/a/b?api-version=2.0"

static int set(const char *url, const char *audience, const char *bearer, char *target, size_t size)
{
	struct token_source source = {0};
	int error = token_source_set(&source, url, audience, bearer);

	snprintf(target, size, "%s", source.place.target);
	return error;
}

static void the_audience_is_added_to_the_query_and_encoded(void **state)
{
	char target[WEB_TARGET_SIZE];

	(void)state;
	assert_int_equal(
		set(URL, "https://a.example/b?c&d=\xc3\xa9 ", "x", target, sizeof target), 0);
	assert_string_equal(target, "/77//idtoken/a/b?api-version=2.0&audience="
				    "https%3A%2F%2Fa.example%2Fb%3Fc%26d%3D%C3%A9%20");
	assert_int_equal(set("https://a.example/b", "a-._~Z9", "x", target, sizeof target), 0);
	assert_string_equal(target, "/b?audience=a-._~Z9");
}

static void what_cannot_be_asked_is_refused(void **state)
{
	char target[WEB_TARGET_SIZE], longer[REQUEST_BEARER_MAX + 1], audience[WEB_TARGET_SIZE];
	static const char *const bad[] = {"http://a.example/b?c=d", "https://", "a.example/b",
		"https://u@a.example/b", "https://a.example/b#c", "https://a.example/b\r\nX: y",
		"https://a.example/b c"};

	(void)state;
	memset(longer, 'x', sizeof longer);
	longer[sizeof longer - 1] = '\0';
	memset(audience, '/', sizeof audience);
	audience[sizeof audience - 1] = '\0';
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(set(bad[i], "a", "x", target, sizeof target), -EINVAL);
	assert_int_equal(set(URL, audience, "x", target, sizeof target), -EINVAL);
	assert_int_equal(set(URL, "a", "x\r\nY: z", target, sizeof target), -EBADMSG);
	assert_int_equal(set(URL, "a", longer, target, sizeof target), -EBADMSG);
}

static bool is_due(uint64_t age_ms, int64_t left_s)
{
	struct token_source source = {0};
	struct request_token token = {.token = "x", .expires_s = left_s ? NOW_S + left_s : 0};

	token_source_keep(&source, &token, NOW_MS);
	return token_source_is_due(&source, NOW_MS + age_ms, NOW_S);
}

static void a_token_is_got_again_after_four_minutes_or_a_minute_before_its_end(void **state)
{
	struct token_source source = {0};

	(void)state;
	assert_true(token_source_is_due(&source, NOW_MS, NOW_S));
	assert_false(is_due(4 * MINUTES_MS, 0));
	assert_true(is_due(4 * MINUTES_MS + 1, 0));
	assert_true(is_due(4 * MINUTES_MS + 1, 3600));
	assert_false(is_due(0, 60));
	assert_true(is_due(0, 59));
	assert_true(is_due(0, -100));
}

static int parse(const char *text, struct request_token *token)
{
	return token_answer_parse(text, strlen(text), token);
}

static void an_answer_is_taken_with_the_end_that_it_says(void **state)
{
	struct request_token token;

	(void)state;
	assert_int_equal(parse("{\"count\": 9, \"value\": \"plain\"}", &token), 0);
	assert_string_equal(token.token, "plain");
	assert_int_equal(token.expires_s, 0);
	/* {"exp":2000000300} */
	assert_int_equal(parse("{\"value\": \"e30.eyJleHAiOjIwMDAwMDAzMDB9.AAAA\"}", &token), 0);
	assert_int_equal(token.expires_s, 2000000300);
	/* {"exp":-1}, and what is no JSON */
	assert_int_equal(parse("{\"value\": \"e30.eyJleHAiOi0xfQ.AAAA\"}", &token), 0);
	assert_int_equal(token.expires_s, 0);
	assert_int_equal(parse("{\"value\": \"e30.AAAA.AAAA\"}", &token), 0);
	assert_int_equal(token.expires_s, 0);
}

static void an_answer_without_a_token_that_can_be_shown_is_refused(void **state)
{
	static const char *const none[] = {"", "\xff", "[]", "{}", "{\"value\": 7}",
		"{\"value\": null}", "{\"value\": \"a\", \"value\": \"b\"}",
		"{\"value\": \"a\\u0000b\"}"};
	static const char *const unfit[] = {"{\"value\": \"\"}", "{\"value\": \"a\\r\\nB: c\"}",
		"{\"value\": \"a b\"}", "{\"value\": \"a\\u001bb\"}", "{\"value\": \"\\u00e9\"}"};
	char text[2 * REQUEST_PASSWORD_MAX];
	struct request_token token;

	(void)state;
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		assert_int_equal(parse(none[i], &token), -EBADMSG);
	for (size_t i = 0; i < sizeof unfit / sizeof *unfit; i++)
		assert_int_equal(parse(unfit[i], &token), -EINVAL);
	snprintf(text, sizeof text, "{\"value\": \"%0*d\"}", REQUEST_PASSWORD_MAX, 0);
	assert_int_equal(parse(text, &token), -E2BIG);
	snprintf(text, sizeof text, "{\"value\": \"%0*d\"}", REQUEST_PASSWORD_MAX - 1, 0);
	assert_int_equal(parse(text, &token), 0);
}

static void what_is_no_message_with_a_token_is_refused(void **state)
{
	struct request_token token = {.token = "x"}, copy;

	(void)state;
	assert_int_equal(request_decode_token(&token, sizeof token, &copy), 0);
	assert_int_equal(request_decode_token(&token, sizeof token - 1, &copy), -EPROTO);
	token.expires_s = -1;
	assert_int_equal(request_decode_token(&token, sizeof token, &copy), -EPROTO);
	token.expires_s = 0;
	token.token[1] = '\n';
	assert_int_equal(request_decode_token(&token, sizeof token, &copy), -EPROTO);
	memset(token.token, 'x', sizeof token.token);
	assert_int_equal(request_decode_token(&token, sizeof token, &copy), 0);
	assert_int_equal(strlen(copy.token), sizeof copy.token - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_audience_is_added_to_the_query_and_encoded),
		cmocka_unit_test(what_cannot_be_asked_is_refused),
		cmocka_unit_test(
			a_token_is_got_again_after_four_minutes_or_a_minute_before_its_end),
		cmocka_unit_test(an_answer_is_taken_with_the_end_that_it_says),
		cmocka_unit_test(an_answer_without_a_token_that_can_be_shown_is_refused),
		cmocka_unit_test(what_is_no_message_with_a_token_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
