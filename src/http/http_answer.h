/* HTTP/1.1 answers (RFC 9112), read whole: a server's of either Go line, ours, or anybody's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	HTTP_ANSWER_MAX = 65536, /* bytes, headers included */
};

struct http_answer {
	unsigned int status; /* 200 to 599 */
	const char *body; /* inside the data */
	size_t body_length;
	bool has_retry_after;
	uint32_t retry_after_s; /* from now; RFC 9110, 10.2.3 */
};

/*
 * Parses what has come so far; chunks are joined in place once all are there. ended: the other side
 * has closed, so that nothing is missing. now_s: the time of day, for a Retry-After that is a date.
 * Returns 0, -EAGAIN while there is more to come, or -EBADMSG.
 */
int http_answer_parse(
	char *data, size_t length, bool ended, int64_t now_s, struct http_answer *answer);
