/* The answers to questions about all peers of a device, read as they come: they may be as long as
 * the device has peers. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/secret_text.h"

struct uapi_client_stream {
	int fd; /* to be waited for; -1: it is not open */
	struct secret_text text; /* what has come, ... */
	size_t taken; /* ... and how much of it was handed out */
};

/* Sends the requests, whole ones one after the other, to the device of this name: 3 s at the most.
 * Returns 0, or what uapi_client_ask() does. To be closed also after an error. */
int uapi_client_stream_open(
	struct uapi_client_stream *stream, const char *name, const char *requests);
/* What has come, some ten thousand bytes at the most. The lines that were handed out are gone then.
 * Returns 0, or -errno: -ENODEV if the device has ended, -EPROTO for a line without end. */
int uapi_client_stream_receive(struct uapi_client_stream *stream);
/* The next line "key=value" that is whole; of an empty one both are "". False: there is none yet.
 */
bool uapi_client_stream_line(struct uapi_client_stream *stream, char **key, char **value);
/* Wipes and frees what it holds. */
void uapi_client_stream_close(struct uapi_client_stream *stream);
