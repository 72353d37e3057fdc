/* Parses an answer's head, and joins its chunks. Runs in the client's request process, on what a
 * server sent. */
#include "http/http_answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum {
	STATUS_LINE_MIN = 12, /* "HTTP/1.1 200" */
	DIGITS_MAX = 9, /* of a length: fits into 32 bits */
	VALUE_MAX = 128, /* of a header that matters here */
};

struct head {
	struct http_answer *answer;
	int64_t now_s;
	bool has_length, is_chunked;
	size_t length;
};

/* A number of decimal digits and nothing else. */
static bool read_number(const char *text, uint32_t *number)
{
	size_t n = strspn(text, "0123456789");

	if (n == 0 || n > DIGITS_MAX || text[n] != '\0')
		return false;
	*number = (uint32_t)strtoul(text, NULL, 10);
	return true;
}

static void read_retry_after(struct head *head, const char *value)
{
	struct http_answer *answer = head->answer;
	struct tm date = {0};
	const char *end;
	int64_t left;

	answer->has_retry_after = read_number(value, &answer->retry_after_s);
	if (answer->has_retry_after)
		return;
	if (*value && value[strspn(value, "0123456789")] == '\0') {
		answer->has_retry_after = true;
		answer->retry_after_s = UINT32_MAX; /* and more */
		return;
	}
	end = strptime(value, "%a, %d %b %Y %H:%M:%S GMT", &date);
	if (!end || *end != '\0')
		return;
	left = timegm(&date) - head->now_s;
	answer->has_retry_after = true;
	answer->retry_after_s = left < 0 ? 0 : left > UINT32_MAX ? UINT32_MAX : (uint32_t)left;
}

static int read_header(struct head *head, const char *name, const char *value)
{
	uint32_t length;

	if (strcasecmp(name, "Retry-After") == 0) {
		read_retry_after(head, value);
	} else if (strcasecmp(name, "Transfer-Encoding") == 0) {
		if (head->is_chunked || strcasecmp(value, "chunked") != 0)
			return -EBADMSG;
		head->is_chunked = true;
	} else if (strcasecmp(name, "Content-Length") == 0) {
		if (!read_number(value, &length) || (head->has_length && head->length != length))
			return -EBADMSG;
		head->has_length = true;
		head->length = length;
	}
	return 0;
}

/* One line, without its end. */
static int read_header_line(struct head *head, const char *line, size_t n)
{
	const char *colon = memchr(line, ':', n);
	char name[VALUE_MAX], value[VALUE_MAX];
	size_t name_length, start, end = n;

	if (!colon || colon == line || memchr(line, '\0', n))
		return -EBADMSG;
	name_length = (size_t)(colon - line);
	start = name_length + 1;
	while (start < end && (line[start] == ' ' || line[start] == '\t'))
		start++;
	while (end > start && (line[end - 1] == ' ' || line[end - 1] == '\t'))
		end--;
	if (name_length >= sizeof name || end - start >= sizeof value)
		return 0; /* none of those that matter */
	memcpy(name, line, name_length);
	name[name_length] = '\0';
	memcpy(value, line + start, end - start);
	value[end - start] = '\0';
	return read_header(head, name, value);
}

static int read_status_line(struct http_answer *answer, const char *line, size_t n)
{
	char digits[4] = {0};
	uint32_t status;

	if (n < STATUS_LINE_MIN ||
		(memcmp(line, "HTTP/1.1 ", 9) != 0 && memcmp(line, "HTTP/1.0 ", 9) != 0))
		return -EBADMSG;
	memcpy(digits, line + 9, 3);
	if (!read_number(digits, &status) || status < 100 || status > 599 ||
		(n > STATUS_LINE_MIN && line[STATUS_LINE_MIN] != ' '))
		return -EBADMSG;
	answer->status = status;
	return 0;
}

/* Reads up to and with the empty line. Returns how long that was, 0 if it is not there yet, or
 * -EBADMSG. */
static ssize_t read_head(struct head *head, const char *data, size_t length)
{
	const char *line = data, *end = memmem(data, length, "\r\n\r\n", 4);
	int error = 0;

	if (!end)
		return 0;
	for (bool first = true; line < end + 2 && error == 0; first = false) {
		const char *next = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
		size_t n;

		if (!next)
			return -EBADMSG;
		n = (size_t)(next - line);
		error = first ? read_status_line(head->answer, line, n)
			      : read_header_line(head, line, n);
		line = next + 2;
	}
	if (error == 0 && head->has_length && head->is_chunked)
		error = -EBADMSG;
	return error < 0 ? error : end + 4 - data;
}

/* The size that a chunk begins with, and where its data begins. RFC 9112, 7.1. */
static int read_chunk_size(const char *data, size_t length, size_t *start, size_t *size)
{
	const char *end = memmem(data + *start, length - *start, "\r\n", 2);
	char *rest;

	if (!end)
		return -EAGAIN;
	if (!strchr("0123456789abcdefABCDEF", data[*start]))
		return -EBADMSG;
	*size = strtoul(data + *start, &rest, 16);
	if ((*rest != '\r' && *rest != ';') || *size > HTTP_ANSWER_MAX)
		return -EBADMSG;
	*start = (size_t)(end + 2 - data);
	return 0;
}

/* First checks whether all chunks are there, then joins them. Trailers are left out. */
static int read_chunks(char *data, size_t length, struct http_answer *answer)
{
	size_t joined = 0;

	for (int pass = 0; pass < 2; pass++) {
		size_t at = 0, size = 1;

		while (size > 0) {
			int error =
				at >= length ? -EAGAIN : read_chunk_size(data, length, &at, &size);

			if (error < 0)
				return error;
			if (size > 0 && (length - at < 2 || size > length - at - 2))
				return -EAGAIN;
			if (size > 0 && memcmp(data + at + size, "\r\n", 2) != 0)
				return -EBADMSG;
			if (pass == 1) {
				memmove(data + joined, data + at, size);
				joined += size;
			}
			at += size + 2;
		}
	}
	answer->body = data;
	answer->body_length = joined;
	return 0;
}

static int read_body(
	const struct head *head, char *data, size_t length, bool ended, struct http_answer *answer)
{
	if (head->is_chunked)
		return read_chunks(data, length, answer);
	if (head->has_length && length < head->length)
		return -EAGAIN;
	if (!head->has_length && !ended)
		return -EAGAIN;
	answer->body = data;
	answer->body_length = head->has_length ? head->length : length;
	return 0;
}

int http_answer_parse(
	char *data, size_t length, bool ended, int64_t now_s, struct http_answer *answer)
{
	int error = -EAGAIN;
	ssize_t n;

	for (;;) {
		struct head head = {.answer = answer, .now_s = now_s};

		*answer = (struct http_answer){0};
		n = read_head(&head, data, length);
		if (n < 0)
			return (int)n;
		if (n == 0)
			break;
		data += n;
		length -= (size_t)n;
		if (answer->status >= 200) {
			error = read_body(&head, data, length, ended, answer);
			break;
		}
	}
	return error == -EAGAIN && (ended || length >= HTTP_ANSWER_MAX) ? -EBADMSG : error;
}
