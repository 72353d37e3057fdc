/* Writes JSON piece by piece. Runs in the process of a command. */
#include "cmd/json_stream.h"

#include <errno.h>
#include <string.h>

enum { INDENT = 2 };

static void begin_line(const struct json_stream *stream)
{
	if (!stream->on_one_line)
		fprintf(stream->out, "\n%*s", (int)(INDENT * stream->depth), "");
}

static void begin_item(struct json_stream *stream, const char *key)
{
	if (stream->has_item)
		fputc(',', stream->out);
	if (stream->depth > 0)
		begin_line(stream);
	if (key)
		fprintf(stream->out, stream->on_one_line ? "\"%s\":" : "\"%s\": ", key);
	stream->has_item = true;
}

static void open_with(struct json_stream *stream, const char *key, char bracket)
{
	begin_item(stream, key);
	fputc(bracket, stream->out);
	stream->depth++;
	stream->has_item = false;
}

static void close_with(struct json_stream *stream, char bracket)
{
	stream->depth--;
	if (stream->has_item)
		begin_line(stream);
	fputc(bracket, stream->out);
	stream->has_item = true;
}

void json_stream_open_object(struct json_stream *stream, const char *key)
{
	open_with(stream, key, '{');
}

void json_stream_open_array(struct json_stream *stream, const char *key)
{
	open_with(stream, key, '[');
}

void json_stream_close_object(struct json_stream *stream)
{
	close_with(stream, '}');
}

void json_stream_close_array(struct json_stream *stream)
{
	close_with(stream, ']');
}

/* What begins a line is indented as deep as all of it is; no string has such a character as it is.
 */
static int write_part(const char *part, size_t length, void *context)
{
	const struct json_stream *stream = context;

	for (size_t i = 0; i < length; i++)
		if (part[i] == '\n')
			begin_line(stream);
		else
			fputc(part[i], stream->out);
	return 0;
}

void json_stream_add(struct json_stream *stream, const char *key, json_t *value)
{
	const size_t flags =
		JSON_ENCODE_ANY | (stream->on_one_line ? JSON_COMPACT : JSON_INDENT(INDENT));

	begin_item(stream, key);
	if (!value || json_dump_callback(value, write_part, stream, flags) < 0)
		stream->error = -ENOMEM;
	json_decref(value);
}

void json_stream_add_all(struct json_stream *stream, json_t *object)
{
	const char *key;
	json_t *value;

	if (!object)
		stream->error = -ENOMEM;
	json_object_foreach(object, key, value) json_stream_add(stream, key, json_incref(value));
	json_decref(object);
}
