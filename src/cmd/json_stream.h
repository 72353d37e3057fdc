/*
 * JSON that is written while it is made: what is long is never in memory as a whole. The text is
 * what jansson's json_dumpf() would write of the whole.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

struct json_stream {
	FILE *out;
	bool on_one_line;
	unsigned int depth; /* objects and arrays that are open */
	bool has_item; /* in the innermost of them */
	int error; /* 0, or -ENOMEM: something was left out */
};

/* Opens an object or an array, as an item of the array that is open, or, with its key, of the
 * object; key: NULL in an array and for the first one. */
void json_stream_open_object(struct json_stream *stream, const char *key);
void json_stream_open_array(struct json_stream *stream, const char *key);
void json_stream_close_object(struct json_stream *stream);
void json_stream_close_array(struct json_stream *stream);

/* An item of what is open; takes over the reference. NULL: there was no memory for it. */
void json_stream_add(struct json_stream *stream, const char *key, json_t *value);
/* All items of an object, which are in the order in which they were set. */
void json_stream_add_all(struct json_stream *stream, json_t *object);
