/*
 * Answers of a device that are read as they come. Runs in the server's broker; waits only for a
 * device that does not accept a connection.
 */
#include "uapi_client/stream.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "uapi_client/connection.h"

enum {
	PART_SIZE = 32768,
	LINE_MAX_SIZE = 4096, /* more than any line of a device */
};

int uapi_client_stream_open(
	struct uapi_client_stream *stream, const char *name, const char *requests)
{
	const uint64_t end_ms = clock_now_ms(&system_clock) + UAPI_CLIENT_SILENCE_MS;
	int fd = uapi_client_connect(name);

	*stream = (struct uapi_client_stream){.fd = fd < 0 ? -1 : fd};
	return fd < 0 ? fd : uapi_client_send(fd, requests, end_ms);
}

/* Of what was handed out nothing stays: it may have been a key. */
static void drop_taken(struct uapi_client_stream *stream)
{
	struct secret_text *text = &stream->text;
	const size_t left = text->used - stream->taken;

	if (stream->taken == 0)
		return;
	memmove(text->s, text->s + stream->taken, left);
	explicit_bzero(text->s + left, stream->taken);
	text->used = left;
	stream->taken = 0;
}

int uapi_client_stream_receive(struct uapi_client_stream *stream)
{
	struct secret_text *text = &stream->text;
	int n;

	drop_taken(stream);
	if (text->used >= LINE_MAX_SIZE)
		return -EPROTO;
	if (secret_text_reserve(text, PART_SIZE) < 0)
		return -ENOMEM;
	n = uapi_client_receive(stream->fd, text->s + text->used, PART_SIZE);
	if (n < 0)
		return n;
	text->used += (size_t)n;
	text->s[text->used] = '\0';
	return 0;
}

bool uapi_client_stream_line(struct uapi_client_stream *stream, char **key, char **value)
{
	char *line = stream->text.s ? stream->text.s + stream->taken : NULL;
	char *end = line ? memchr(line, '\n', stream->text.used - stream->taken) : NULL;

	if (!end)
		return false;
	*end = '\0';
	stream->taken += (size_t)(end - line) + 1;
	*key = line;
	*value = strchr(line, '=');
	if (*value)
		*(*value)++ = '\0';
	else
		*value = end;
	return true;
}

void uapi_client_stream_close(struct uapi_client_stream *stream)
{
	secret_text_wipe(&stream->text);
	if (stream->fd >= 0)
		close(stream->fd);
	stream->fd = -1;
}
