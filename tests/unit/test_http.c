#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "http/http.h"

#define HOST "Host: vprox\r\n"

/* What came of a request: the event that ended it, and what it said. */
struct outcome {
	enum http_event event;
	bool had_head;
	char method[32], path[64], authorization[64];
	bool has_authorization, expects_continue;
	size_t used, body_length;
	char body[HTTP_BODY_MAX];
};

static void copy_head(struct outcome *outcome, const struct http_head *head)
{
	outcome->had_head = true;
	outcome->expects_continue = head->expects_continue;
	outcome->has_authorization = head->authorization != NULL;
	snprintf(outcome->method, sizeof outcome->method, "%s", head->method);
	snprintf(outcome->path, sizeof outcome->path, "%s", head->path);
	if (head->authorization)
		snprintf(outcome->authorization, sizeof outcome->authorization, "%s",
			head->authorization);
}

/* Feeds the first piece, then the rest in pieces of a size. */
static struct outcome run(const char *data, size_t length, size_t first, size_t size)
{
	struct http_parser *parser = malloc(sizeof *parser);
	struct outcome outcome = {.event = HTTP_MORE};
	size_t end = first < length ? first : length;

	assert_non_null(parser);
	http_init(parser);
	while (outcome.event == HTTP_MORE || outcome.event == HTTP_HEAD) {
		size_t used;

		/* Exact copies, so that a sanitizer sees a read past the piece. */
		size_t n = end - outcome.used;
		char *piece = malloc(n + !n);

		assert_non_null(piece);
		memcpy(piece, data + outcome.used, n);
		outcome.event = http_parse(parser, piece, n, &used);
		free(piece);
		assert_true(used <= n);
		outcome.used += used;
		if (outcome.event == HTTP_HEAD)
			copy_head(&outcome, &parser->head);
		if (outcome.event != HTTP_MORE)
			continue;
		assert_int_equal(used, n);
		if (end == length)
			break;
		end = length - end < size ? length : end + size;
	}
	if (outcome.event == HTTP_END) {
		const char *body = http_body(parser, &outcome.body_length);

		memcpy(outcome.body, body, outcome.body_length);
	}
	free(parser);
	return outcome;
}

/* However it is cut, the outcome is the same. */
static struct outcome parse_bytes(const char *data, size_t length)
{
	struct outcome whole = run(data, length, length, 1);
	size_t step = length > 512 ? length / 64 : 1;

	for (size_t first = 0; first < length; first += step) {
		struct outcome two = run(data, length, first, length);

		assert_memory_equal(&two, &whole, sizeof whole);
	}
	struct outcome single = run(data, length, 1, 1);

	assert_memory_equal(&single, &whole, sizeof whole);
	return whole;
}

static struct outcome parse(const char *text)
{
	return parse_bytes(text, strlen(text));
}

static void a_request_is_understood_however_its_bytes_are_cut(void **state)
{
	struct outcome outcome =
		parse("POST /connect HTTP/1.1\r\n" HOST "Authorization: Bearer secret \t\r\n"
		      "Content-Length: 5\r\n\r\nhello");

	(void)state;
	assert_int_equal(outcome.event, HTTP_END);
	assert_string_equal(outcome.method, "POST");
	assert_string_equal(outcome.path, "/connect");
	assert_string_equal(outcome.authorization, "Bearer secret");
	assert_int_equal(outcome.body_length, 5);
	assert_memory_equal(outcome.body, "hello", 5);
}

static void what_follows_the_request_is_not_read(void **state)
{
	static const char two[] = "GET / HTTP/1.1\r\n" HOST "\r\nGET /b HTTP/1.1\r\n" HOST "\r\n";
	static const char body[] = "POST / HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nabGET";

	(void)state;
	assert_int_equal(parse(two).event, HTTP_END);
	assert_int_equal(parse(two).used, strstr(two, "GET /b") - two);
	assert_int_equal(parse(body).used, sizeof body - 1 - strlen("GET"));
}

static void targets_lose_their_query_and_their_origin(void **state)
{
	static const char *const targets[][2] = {
		{"/", "/"},
		{"/connect?x=/y?z", "/connect"},
		{"/?", "/"},
		{"http://vprox/version", "/version"},
		{"HTTPS://127.0.0.1:443/version?a", "/version"},
		{"http://[::1]:443/", "/"},
		{"http://vprox", "/"},
		{"http://vprox?/connect", "/"},
		{"/%63onnect", "/%63onnect"},
		{"//connect", "//connect"},
		{"*", "*"},
	};
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
		snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n" HOST "\r\n", targets[i][0]);
		struct outcome outcome = parse(text);

		assert_int_equal(outcome.event, HTTP_END);
		assert_string_equal(outcome.path, targets[i][1]);
	}
}

static void malformed_request_lines_are_refused(void **state)
{
	static const char *const lines[] = {"", " ", "GET", "GET /", "GET / ", "GET  / HTTP/1.1",
		"GET /  HTTP/1.1", "GET / HTTP/1.1 ", " GET / HTTP/1.1", "GET / HTTP/2.0",
		"GET / HTTP/1.2", "GET / HTTP/1.10", "GET / http/1.1", "GET / HTTP/1",
		"GET / HTTP/.1", "GET\t/ HTTP/1.1", "GET /\tx HTTP/1.1", "GET /\x80 HTTP/1.1",
		"GET /\x7f HTTP/1.1", "GET /#a HTTP/1.1", "GET connect HTTP/1.1",
		"GET http:// HTTP/1.1", "GET http:///x HTTP/1.1", "GET http://a@b/ HTTP/1.1",
		"GET ftp://a/ HTTP/1.1", "CONNECT vprox:443 HTTP/1.1", "G(T / HTTP/1.1",
		"PRI * HTTP/2.0", "GET /\r HTTP/1.1"};
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		snprintf(text, sizeof text, "%s\r\n" HOST "\r\n", lines[i]);
		assert_int_equal(parse(text).event, HTTP_BAD);
	}
	static const char with_nul[] = "GET /\0 HTTP/1.1\r\n" HOST "\r\n";

	assert_int_equal(parse_bytes(with_nul, sizeof with_nul - 1).event, HTTP_BAD);
}

static void malformed_fields_are_refused(void **state)
{
	static const char *const fields[] = {"no colon", ": no name", "Name : value",
		" Name: folded", "\tName: folded", "A: b\r\n folded", "Na me: value",
		"Na\x80me: value", "A: \x01", "A: \x7f", "A: b\rc", "A: b\nB: c", "A: b\r\r",
		"Host: twice", "(a): b", "Authorization: a\r\nAuthorization: a", "Host2 : x"};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" HOST "%s\r\n\r\n", fields[i]);
		assert_int_equal(parse(text).event, HTTP_BAD);
	}
	static const char with_nul[] = "GET / HTTP/1.1\r\n" HOST "A: b\0c\r\n\r\n";

	assert_int_equal(parse_bytes(with_nul, sizeof with_nul - 1).event, HTTP_BAD);
}

static void lines_end_in_cr_lf_and_nothing_else(void **state)
{
	(void)state;
	assert_int_equal(parse("GET / HTTP/1.1\n" HOST "\r\n").event, HTTP_BAD);
	assert_int_equal(parse("GET / HTTP/1.1\r\nHost: vprox\n\r\n").event, HTTP_BAD);
	assert_int_equal(parse("GET / HTTP/1.1\r\n" HOST "\n").event, HTTP_BAD);
	assert_int_equal(parse("\r\nGET / HTTP/1.1\r\n" HOST "\r\n").event, HTTP_BAD);
	assert_int_equal(parse("GET / HTTP/1.1\r\n" HOST "A: b\r\r\n\r\n").event, HTTP_BAD);
}

static void unusual_but_correct_fields_are_accepted(void **state)
{
	static const char *const fields[] = {"A:", "A:   ", "A: \x80\xff", "A:b\tc",
		"!#$%&'*+-.^_`|~: x", "cOnTeNt-LeNgTh:\t0", "Expect: something-else",
		"Connection: keep-alive, Upgrade", "Content-Length: 00000"};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" HOST "%s\r\n\r\n", fields[i]);
		assert_int_equal(parse(text).event, HTTP_END);
	}
}

static void host_is_needed_once_in_1_1_and_must_be_a_host(void **state)
{
	(void)state;
	assert_int_equal(parse("GET / HTTP/1.1\r\n\r\n").event, HTTP_BAD);
	assert_int_equal(parse("GET / HTTP/1.0\r\n\r\n").event, HTTP_END);
	assert_int_equal(parse("GET / HTTP/1.1\r\nhost: [::1]:443\r\n\r\n").event, HTTP_END);
	assert_int_equal(parse("GET / HTTP/1.1\r\nHost:\r\n\r\n").event, HTTP_END);
	assert_int_equal(parse("GET / HTTP/1.1\r\nHost: a b\r\n\r\n").event, HTTP_BAD);
	assert_int_equal(parse("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n").event, HTTP_BAD);
	assert_int_equal(parse("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n").event, HTTP_BAD);
}

static void a_length_that_could_be_read_two_ways_is_refused(void **state)
{
	static const char *const fields[] = {"Content-Length: 1\r\nContent-Length: 2",
		"Content-Length: 1\r\nContent-Length: 1", "Content-Length: 1, 1",
		"Content-Length: +1", "Content-Length: -1", "Content-Length: 0x1",
		"Content-Length: 1 1", "Content-Length:", "Content-Length: 1.", "Content-Length: a",
		"Content-Length: \"1\"", "Content-Length: 1\r\nTransfer-Encoding: chunked",
		"Transfer-Encoding: chunked\r\nContent-Length: 1",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
		"Transfer-Encoding: chunked, chunked", "Transfer-Encoding: gzip, chunked",
		"Transfer-Encoding: identity", "Transfer-Encoding: gzip",
		"Transfer-Encoding:", "Transfer-Encoding: xchunked",
		"Transfer-Encoding: chunked;a=b",
		"Transfer-Encoding: chunked\r\n Content-Length: 1", "Transfer-Encoding : chunked",
		"Transfer-Encoding: \"chunked\"", "Transfer-Encoding: \vchunked"};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		snprintf(text, sizeof text, "POST / HTTP/1.1\r\n" HOST "%s\r\n\r\n0\r\n\r\n",
			fields[i]);
		assert_int_equal(parse(text).event, HTTP_BAD);
	}
	assert_int_equal(
		parse("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").event,
		HTTP_BAD);
}

static struct outcome parse_chunks(const char *chunks)
{
	char text[512];

	snprintf(text, sizeof text,
		"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n%s", chunks);
	return parse(text);
}

static void chunks_are_put_together(void **state)
{
	static const char *const same[] = {"5\r\nhello\r\n0\r\n\r\n",
		"1\r\nh\r\n4\r\nello\r\n0\r\n\r\n", "00005\r\nhello\r\n000\r\n\r\n",
		"5;a=b;c=\"d e\"\r\nhello\r\n0;x\r\n\r\n", "5\r\nhello\r\n0\r\nA: b\r\nC:\r\n\r\n"};
	struct outcome outcome;

	(void)state;
	for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
		outcome = parse_chunks(same[i]);
		assert_int_equal(outcome.event, HTTP_END);
		assert_int_equal(outcome.body_length, 5);
		assert_memory_equal(outcome.body, "hello", 5);
	}
	assert_int_equal(parse_chunks("A\r\n0123456789\r\n0\r\n\r\n").body_length, 10);
	assert_int_equal(parse_chunks("a\r\n0123456789\r\n0\r\n\r\n").body_length, 10);
	assert_int_equal(parse_chunks("0\r\n\r\n").body_length, 0);
}

static void malformed_chunks_are_refused(void **state)
{
	static const char *const bad[] = {"\r\n", "g\r\n", "-1\r\n", "0x5\r\n", " 5\r\n", "5 \r\n",
		"5\nhello\r\n", "5\r\nhello\n", "5\r\nhelloo\r\n", "5\r\nhello\r\r", "5\rhello",
		";a\r\n", "5;a\nhello", "0\r\n\n", "0\r\n : a\r\n", "0\r\n: a\r\n",
		"0\r\nA b: c\r\n", "0\r\nA: b\n\r\n", "0\r\nA: \x01\r\n\r\n", "0\r\n\rx"};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(parse_chunks(bad[i]).event, HTTP_BAD);
}

/* A request whose head is exactly so long, filled up with one field. */
static char *request_with_head(size_t length)
{
	static const char start[] = "GET / HTTP/1.1\r\n" HOST "A: ";
	char *text = malloc(length + 1);

	assert_non_null(text);
	memset(text, 'x', length);
	memcpy(text, start, sizeof start - 1);
	strcpy(text + length - 4, "\r\n\r\n");
	return text;
}

static void a_head_may_have_8_kib_and_not_one_byte_more(void **state)
{
	char *fits = request_with_head(HTTP_HEAD_MAX),
	     *too_long = request_with_head(HTTP_HEAD_MAX + 1);

	(void)state;
	assert_int_equal(parse(fits).event, HTTP_END);
	assert_int_equal(parse(too_long).event, HTTP_HEAD_TOO_LARGE);
	memset(too_long, 'x', HTTP_HEAD_MAX + 1);
	assert_int_equal(parse(too_long).event, HTTP_HEAD_TOO_LARGE);
	too_long[HTTP_HEAD_MAX] = '\0';
	assert_int_equal(parse(too_long).event, HTTP_MORE);
	free(fits);
	free(too_long);
}

static void a_body_may_have_4_kib_and_not_one_byte_more(void **state)
{
	char text[128 + HTTP_BODY_MAX];
	size_t n;

	(void)state;
	n = (size_t)sprintf(text, "POST / HTTP/1.1\r\n" HOST "Content-Length: 4096\r\n\r\n");
	memset(text + n, 'x', HTTP_BODY_MAX);
	assert_int_equal(parse_bytes(text, n + HTTP_BODY_MAX).event, HTTP_END);
	assert_int_equal(parse_bytes(text, n + HTTP_BODY_MAX).body_length, HTTP_BODY_MAX);
	assert_int_equal(parse_bytes(text, n + HTTP_BODY_MAX - 1).event, HTTP_MORE);

	static const char *const lengths[] = {"4097", "99999999999999999999999999999999",
		"18446744073709551615", "18446744073709551616", "000000000000000000000004097"};

	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		sprintf(text, "POST / HTTP/1.1\r\n" HOST "Content-Length: %s\r\n\r\n", lengths[i]);
		assert_int_equal(parse(text).event, HTTP_BODY_TOO_LARGE);
		assert_true(parse(text).had_head);
	}
	assert_int_equal(parse_chunks("1001\r\n").event, HTTP_BODY_TOO_LARGE);
	assert_int_equal(parse_chunks("fffffffffffffffff\r\n").event, HTTP_BODY_TOO_LARGE);
	assert_int_equal(parse_chunks("5\r\nhello\r\nFFC\r\n").event, HTTP_BODY_TOO_LARGE);
	assert_int_equal(parse_chunks("5\r\nhello\r\nFFB\r\n").event, HTTP_MORE);
}

static void a_full_body_may_come_in_chunks_of_one_byte(void **state)
{
	enum { CHUNK = 6 }; /* "1\r\nx\r\n" */
	static char text[128 + CHUNK * HTTP_BODY_MAX + 8];
	size_t n;

	(void)state;
	n = (size_t)sprintf(text, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < HTTP_BODY_MAX; i++)
		n += (size_t)sprintf(text + n, "1\r\nx\r\n");
	n += (size_t)sprintf(text + n, "0\r\n\r\n");
	assert_int_equal(run(text, n, n, 1).event, HTTP_END);
	assert_int_equal(run(text, n, n, 1).body_length, HTTP_BODY_MAX);
}

static void endless_framing_is_a_body_too_large(void **state)
{
	static char text[128 + 2 * HTTP_FRAMING_MAX];
	size_t n;

	(void)state;
	n = (size_t)sprintf(
		text, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0;");
	memset(text + n, 'x', sizeof text - n);
	assert_int_equal(run(text, sizeof text, sizeof text, 1).event, HTTP_BODY_TOO_LARGE);
	n += (size_t)sprintf(text + n, "\r\nA:");
	memset(text + n, 'x', sizeof text - n);
	assert_int_equal(run(text, sizeof text, sizeof text, 1).event, HTTP_BODY_TOO_LARGE);
}

static void an_expectation_is_seen_in_any_case(void **state)
{
	(void)state;
	assert_true(
		parse("POST / HTTP/1.1\r\n" HOST "expect: 100-Continue\r\n\r\n").expects_continue);
	assert_false(parse("POST / HTTP/1.1\r\n" HOST "Expect: 101\r\n\r\n").expects_continue);
}

static bool contains(const char *data, size_t length, const char *text)
{
	return memmem(data, length, text, strlen(text)) != NULL;
}

static void the_password_does_not_stay_in_memory(void **state)
{
	static const char text[] =
		"POST / HTTP/1.1\r\n" HOST "Authorization: Bearer secret\r\n\r\n";
	struct http_parser *parser = calloc(1, sizeof *parser);
	size_t used;

	(void)state;
	assert_non_null(parser);
	http_init(parser);
	assert_int_equal(http_parse(parser, text, sizeof text - 1, &used), HTTP_HEAD);
	assert_true(contains(parser->buffer, sizeof parser->buffer, "secret"));
	assert_int_equal(http_parse(parser, "", 0, &used), HTTP_END);
	assert_false(contains(parser->buffer, sizeof parser->buffer, "secret"));

	http_init(parser);
	http_parse(parser, text, sizeof text - 3, &used);
	http_wipe(parser);
	assert_false(contains(parser->buffer, sizeof parser->buffer, "secret"));
	free(parser);
}

static void an_end_stays_the_end(void **state)
{
	struct http_parser *parser = malloc(sizeof *parser);
	size_t used;

	(void)state;
	assert_non_null(parser);
	http_init(parser);
	assert_false(http_has_begun(parser));
	assert_int_equal(http_parse(parser, "\n", 1, &used), HTTP_BAD);
	assert_true(http_has_begun(parser));
	assert_int_equal(http_parse(parser, "GET", 3, &used), HTTP_BAD);
	assert_int_equal(used, 0);
	free(parser);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_understood_however_its_bytes_are_cut),
		cmocka_unit_test(what_follows_the_request_is_not_read),
		cmocka_unit_test(targets_lose_their_query_and_their_origin),
		cmocka_unit_test(malformed_request_lines_are_refused),
		cmocka_unit_test(malformed_fields_are_refused),
		cmocka_unit_test(lines_end_in_cr_lf_and_nothing_else),
		cmocka_unit_test(unusual_but_correct_fields_are_accepted),
		cmocka_unit_test(host_is_needed_once_in_1_1_and_must_be_a_host),
		cmocka_unit_test(a_length_that_could_be_read_two_ways_is_refused),
		cmocka_unit_test(chunks_are_put_together),
		cmocka_unit_test(malformed_chunks_are_refused),
		cmocka_unit_test(a_head_may_have_8_kib_and_not_one_byte_more),
		cmocka_unit_test(a_body_may_have_4_kib_and_not_one_byte_more),
		cmocka_unit_test(a_full_body_may_come_in_chunks_of_one_byte),
		cmocka_unit_test(endless_framing_is_a_body_too_large),
		cmocka_unit_test(an_expectation_is_seen_in_any_case),
		cmocka_unit_test(the_password_does_not_stay_in_memory),
		cmocka_unit_test(an_end_stays_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
