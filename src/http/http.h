/*
 * A parser for one HTTP/1.1 or 1.0 request (RFC 9112), with its limits: bytes in, events out,
 * nothing else. How the bytes are cut into pieces makes no difference. There is one request a
 * connection; what follows it is left unread.
 */
#pragma once

#include <stddef.h>

#include "http/http_head.h"

enum {
	HTTP_HEAD_MAX = 8 * 1024, /* bytes, from the method to the empty line, line ends included */
	HTTP_BODY_MAX = 4 * 1024, /* bytes, decoded */
	HTTP_FRAMING_MAX = 32 * 1024, /* bytes that chunks cost besides the body: a body of the
					 largest size in chunks of one byte fits */
};

enum http_event {
	HTTP_MORE, /* all was used; the request is not complete */
	HTTP_HEAD, /* the head is complete: parser->head, until the next call */
	HTTP_END, /* the request is complete: http_body() */
	HTTP_BAD, /* it is malformed */
	HTTP_HEAD_TOO_LARGE,
	HTTP_BODY_TOO_LARGE, /* as soon as that is certain, but never before HTTP_HEAD */
};

struct http_parser {
	struct http_head head;
	int state;
	size_t line; /* where the current line of the head begins in the buffer */
	size_t used; /* bytes in the buffer: the head's, then the body's */
	uint64_t left; /* bytes of the body, or of the chunk, still to come */
	size_t framing; /* bytes of chunk sizes and trailers so far */
	char buffer[HTTP_HEAD_MAX];
};

void http_init(struct http_parser *parser);

/*
 * Takes up to length bytes and sets *used to how many. After HTTP_HEAD it is to be called again at
 * once, if need be with no bytes; that call wipes the head, with the password in it. After HTTP_END
 * and the errors it uses nothing and returns the same again.
 */
enum http_event http_parse(
	struct http_parser *parser, const char *data, size_t length, size_t *used);

/* Whether a byte of the request has come. */
bool http_has_begun(const struct http_parser *parser);

/* The body, after HTTP_END; it lives in the parser. */
const char *http_body(const struct http_parser *parser, size_t *length);

/* Overwrites what the client sent. */
void http_wipe(struct http_parser *parser);
