#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "http/http_answer.h"

#define CHUNKED "Transfer-Encoding: chunked\r\n"

enum { NOON = 1763812800 }; /* Sat, 22 Nov 2025 12:00:00 GMT */

static char data[2 * HTTP_ANSWER_MAX];
static struct http_answer answer;

static int parse(const char *text, bool ended)
{
	strcpy(data, text);
	return http_answer_parse(data, strlen(text), ended, NOON, &answer);
}

static void assert_body(const char *expected)
{
	assert_int_equal(answer.body_length, strlen(expected));
	assert_memory_equal(answer.body, expected, strlen(expected));
}

/* Every beginning of it must be waited for, and be no answer if that was all. */
static void assert_whole_only(const char *text)
{
	char part[512];

	for (size_t n = 0; n < strlen(text); n++) {
		memcpy(part, text, n);
		part[n] = '\0';
		assert_int_equal(parse(part, false), -EAGAIN);
		assert_int_equal(parse(part, true), -EBADMSG);
	}
	assert_int_equal(parse(text, false), 0);
}

static void an_answer_is_read_when_it_is_whole(void **state)
{
	(void)state;
	assert_whole_only("HTTP/1.1 200 OK\r\nContent-Type: a\r\ncontent-LENGTH:  4 \r\n\r\n{ }\n");
	assert_int_equal(answer.status, 200);
	assert_body("{ }\n");
	assert_false(answer.has_retry_after);
}

static void chunks_are_joined(void **state)
{
	(void)state;
	assert_whole_only("HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n"
			  "3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n");
	assert_int_equal(answer.status, 401);
	assert_body("abc0123456789");
}

static void without_a_length_the_end_is_the_end(void **state)
{
	static const char text[] = "HTTP/1.0 404 Not Found\r\n\r\n404 page not found\n";

	(void)state;
	assert_int_equal(parse(text, false), -EAGAIN);
	assert_int_equal(parse(text, true), 0);
	assert_int_equal(answer.status, 404);
	assert_body("404 page not found\n");
}

static void what_comes_before_the_answer_is_passed_over(void **state)
{
	(void)state;
	assert_int_equal(parse("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103\r\nA: b\r\n\r\n"
			       "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
				 false),
		0);
	assert_int_equal(answer.status, 200);
	assert_body("");
}

static void the_time_to_ask_again_is_seconds_or_a_date(void **state)
{
	static const struct {
		const char *value;
		bool has;
		uint32_t s;
	} rows[] = {{"0", true, 0}, {"120", true, 120}, {"Sat, 22 Nov 2025 12:00:30 GMT", true, 30},
		{"Sat, 22 Nov 2025 11:59:59 GMT", true, 0}, {"soon", false, 0}, {"-1", false, 0},
		{"1.5", false, 0}, {"99999999999", true, UINT32_MAX}};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		snprintf(text, sizeof text,
			"HTTP/1.1 503 Service Unavailable\r\nRetry-After: %s\r\n"
			"Content-Length: 0\r\n\r\n",
			rows[i].value);
		assert_int_equal(parse(text, false), 0);
		assert_int_equal(answer.has_retry_after, rows[i].has);
		if (rows[i].has)
			assert_int_equal(answer.retry_after_s, rows[i].s);
	}
}

static void what_is_no_answer_is_refused(void **state)
{
	static const char *const bad[] = {
		"\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n",
		"HTTP/2.0 200 OK\r\n\r\n",
		"HTTP/1.1 20\r\n\r\n",
		"HTTP/1.1 2000\r\n\r\n",
		"HTTP/1.1 099 x\r\n\r\n",
		"HTTP/1.1 600 x\r\n\r\n",
		"HTTP/1.1 2x0 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
		"HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" CHUNKED CHUNKED "\r\n0\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(parse(bad[i], true), -EBADMSG);
}

static void an_answer_without_end_is_refused(void **state)
{
	(void)state;
	memset(data, 'a', sizeof data - 1);
	assert_int_equal(http_answer_parse(data, HTTP_ANSWER_MAX, false, NOON, &answer), -EBADMSG);
}

/* Bytes of all kinds, in a place of just their size, for the sanitizers to watch. */
static void noise_is_survived(void **state)
{
	static const char good[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
				   "Retry-After: 5\r\n\r\n3\r\nabc\r\n0\r\n\r\n";

	(void)state;
	srand(1);
	for (int i = 0; i < 20000; i++) {
		size_t n = sizeof good - 1;
		char *copy = malloc(n + 1);

		assert_non_null(copy);
		memcpy(copy, good, n + 1);
		for (int change = 0; change < 1 + i % 3; change++)
			copy[(size_t)rand() % n] = (char)rand();
		http_answer_parse(copy, n, rand() % 2, NOON, &answer);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_is_read_when_it_is_whole),
		cmocka_unit_test(chunks_are_joined),
		cmocka_unit_test(without_a_length_the_end_is_the_end),
		cmocka_unit_test(what_comes_before_the_answer_is_passed_over),
		cmocka_unit_test(the_time_to_ask_again_is_seconds_or_a_date),
		cmocka_unit_test(what_is_no_answer_is_refused),
		cmocka_unit_test(an_answer_without_end_is_refused),
		cmocka_unit_test(noise_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
