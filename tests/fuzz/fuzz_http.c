/* The HTTP parser: however the bytes are cut, the outcome is the same, and within the limits. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	enum http_event event;
	size_t used, body_length;
	char body[HTTP_BODY_MAX];
};

static void check_head(const struct http_head *head)
{
	assert(head->method && *head->method && head->path && *head->path);
	assert(head->path[0] == '/' || strcmp(head->path, "*") == 0);
	assert(!strpbrk(head->path, " ?#\r\n"));
	assert(!head->authorization || !strpbrk(head->authorization, "\r\n"));
	assert(!(head->chunked && head->has_content_length));
	assert(head->has_host || head->minor_version == 0);
}

/* Pieces of 1 to max bytes. */
static void run(const char *data, size_t length, size_t max, struct outcome *outcome)
{
	struct http_parser *parser = malloc(sizeof *parser);
	size_t used, n = 0;

	if (!parser)
		abort();
	http_init(parser);
	*outcome = (struct outcome){.event = HTTP_MORE};
	for (;;) {
		outcome->event = http_parse(parser, data + outcome->used, n, &used);
		assert(used <= n);
		outcome->used += used;
		if (outcome->event == HTTP_HEAD) {
			check_head(&parser->head);
			n -= used;
			continue;
		}
		if (outcome->event != HTTP_MORE || outcome->used == length)
			break;
		assert(used == n);
		n = length - outcome->used < max ? length - outcome->used : max;
	}
	if (outcome->event == HTTP_END) {
		const char *body = http_body(parser, &outcome->body_length);

		assert(outcome->body_length <= HTTP_BODY_MAX);
		memcpy(outcome->body, body, outcome->body_length);
	}
	free(parser);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct outcome whole, single, some;

	run((const char *)data, size, size + 1, &whole);
	run((const char *)data, size, 1, &single);
	run((const char *)data, size, 7, &some);
	assert(memcmp(&whole, &single, sizeof whole) == 0);
	assert(memcmp(&whole, &some, sizeof whole) == 0);
	return 0;
}
