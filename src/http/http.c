/* The parser's states, byte by byte; the lines of the head are http_head.c's. Runs in the gate, on
 * what a client sent. */
#include "http/http.h"

#include <string.h>

enum state {
	IN_HEAD,
	AT_BODY, /* the head is complete, the body not begun */
	IN_BODY, /* of a known length */
	CHUNK_START, /* the first digit of a chunk's size */
	CHUNK_SIZE,
	CHUNK_EXTENSION,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	TRAILER_START,
	TRAILER_NAME,
	TRAILER_VALUE,
	TRAILER_LF,
	LAST_LF,
	/* Final. */
	ENDED,
	BAD,
	HEAD_TOO_LARGE,
	BODY_TOO_LARGE,
};

void http_init(struct http_parser *parser)
{
	memset(parser, 0, offsetof(struct http_parser, buffer));
	parser->state = IN_HEAD;
}

/* The line that ends with the last byte in the buffer. Returns the state after it. */
static enum state parse_line(struct http_parser *parser)
{
	char *line = parser->buffer + parser->line;
	size_t length = parser->used - parser->line;
	bool first = parser->line == 0;
	int error;

	if (length < 2 || line[length - 2] != '\r')
		return BAD;
	length -= 2;
	parser->line = parser->used;
	if (length == 0)
		return first || http_head_check(&parser->head) < 0 ? BAD : AT_BODY;
	error = first ? http_request_line(&parser->head, line, length)
		      : http_field_line(&parser->head, line, length);
	return error < 0 ? BAD : IN_HEAD;
}

static size_t parse_head(struct http_parser *parser, const char *data, size_t length)
{
	size_t i = 0;

	while (i < length && parser->state == IN_HEAD) {
		if (parser->used == HTTP_HEAD_MAX) {
			parser->state = HEAD_TOO_LARGE;
			break;
		}
		parser->buffer[parser->used++] = data[i];
		if (data[i++] == '\n')
			parser->state = (int)parse_line(parser);
	}
	return i;
}

/* The buffer is the body's from here on. */
static enum state begin_body(struct http_parser *parser)
{
	http_wipe(parser);
	parser->head.method = parser->head.path = parser->head.authorization = NULL;
	if (parser->head.chunked)
		return CHUNK_START;
	if (parser->head.content_length > HTTP_BODY_MAX)
		return BODY_TOO_LARGE;
	parser->left = parser->head.content_length;
	return parser->left > 0 ? IN_BODY : ENDED;
}

static size_t parse_data(struct http_parser *parser, const char *data, size_t length)
{
	size_t n = length < parser->left ? length : (size_t)parser->left;

	memcpy(parser->buffer + parser->used, data, n);
	parser->used += n;
	parser->left -= n;
	if (parser->left == 0)
		parser->state = parser->state == IN_BODY ? ENDED : CHUNK_DATA_CR;
	return n;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum state parse_size_digit(struct http_parser *parser, int digit)
{
	parser->left = parser->left * 16 + (unsigned int)digit;
	return parser->used + parser->left > HTTP_BODY_MAX ? BODY_TOO_LARGE : CHUNK_SIZE;
}

static enum state expect(char c, char wanted, enum state next)
{
	return c == wanted ? next : BAD;
}

/* RFC 9112, 7.1, without the blanks that it lets stand before an extension. Returns the state after
 * one byte that is not of the body. */
static enum state parse_framing_byte(struct http_parser *parser, char c)
{
	enum state state = (enum state)parser->state;
	int digit = hex_digit(c);

	switch (state) {
	case CHUNK_START:
		parser->left = 0;
		return digit < 0 ? BAD : parse_size_digit(parser, digit);
	case CHUNK_SIZE:
		if (digit >= 0)
			return parse_size_digit(parser, digit);
		return c == ';' ? CHUNK_EXTENSION : expect(c, '\r', CHUNK_SIZE_LF);
	case CHUNK_EXTENSION:
		return http_is_field_char(c) ? state : expect(c, '\r', CHUNK_SIZE_LF);
	case CHUNK_SIZE_LF:
		return expect(c, '\n', parser->left > 0 ? CHUNK_DATA : TRAILER_START);
	case CHUNK_DATA_CR:
		return expect(c, '\r', CHUNK_DATA_LF);
	case CHUNK_DATA_LF:
		return expect(c, '\n', CHUNK_START);
	case TRAILER_START:
		return http_is_token_char(c) ? TRAILER_NAME : expect(c, '\r', LAST_LF);
	case TRAILER_NAME:
		return http_is_token_char(c) ? state : expect(c, ':', TRAILER_VALUE);
	case TRAILER_VALUE:
		return http_is_field_char(c) ? state : expect(c, '\r', TRAILER_LF);
	case TRAILER_LF:
		return expect(c, '\n', TRAILER_START);
	case LAST_LF:
		return expect(c, '\n', ENDED);
	default:
		return BAD;
	}
}

static size_t parse_framing(struct http_parser *parser, const char *data)
{
	if (++parser->framing > HTTP_FRAMING_MAX)
		parser->state = BODY_TOO_LARGE;
	else
		parser->state = (int)parse_framing_byte(parser, *data);
	return 1;
}

static enum http_event final_event(enum state state)
{
	switch (state) {
	case ENDED:
		return HTTP_END;
	case HEAD_TOO_LARGE:
		return HTTP_HEAD_TOO_LARGE;
	case BODY_TOO_LARGE:
		return HTTP_BODY_TOO_LARGE;
	case BAD:
		return HTTP_BAD;
	default:
		return HTTP_MORE;
	}
}

enum http_event http_parse(
	struct http_parser *parser, const char *data, size_t length, size_t *used)
{
	*used = 0;
	if (parser->state == IN_HEAD) {
		*used = parse_head(parser, data, length);
		return parser->state == AT_BODY ? HTTP_HEAD
						: final_event((enum state)parser->state);
	}
	if (parser->state == AT_BODY)
		parser->state = (int)begin_body(parser);
	while (*used < length && parser->state < ENDED) {
		if (parser->state == IN_BODY || parser->state == CHUNK_DATA)
			*used += parse_data(parser, data + *used, length - *used);
		else
			*used += parse_framing(parser, data + *used);
	}
	return final_event((enum state)parser->state);
}

bool http_has_begun(const struct http_parser *parser)
{
	return parser->state != IN_HEAD || parser->used > 0;
}

const char *http_body(const struct http_parser *parser, size_t *length)
{
	*length = parser->used;
	return parser->buffer;
}

void http_wipe(struct http_parser *parser)
{
	explicit_bzero(parser->buffer, parser->used);
	parser->used = 0;
}
