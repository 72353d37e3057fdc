/* Finds the end of a ClientHello. Runs in the gate, on bytes of strangers; nothing is kept. */
#include "gate/client_hello.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

/* RFC 8446, 4 and 5.1. */
enum {
	RECORD_HEADER = 5, /* type, version, length */
	MESSAGE_HEADER = 4, /* type, length */
	TYPE_HANDSHAKE = 22,
	TYPE_CLIENT_HELLO = 1,
	MAJOR_VERSION = 3,
};

/* What is known of the message: it may be cut into records anywhere, its header too. */
struct message {
	unsigned char header[MESSAGE_HEADER];
	size_t length; /* bytes of it so far */
};

static bool has_header(const struct message *message)
{
	return message->length >= MESSAGE_HEADER;
}

static size_t total(const struct message *message)
{
	const unsigned char *header = message->header;

	return MESSAGE_HEADER + ((size_t)header[1] << 16 | (size_t)header[2] << 8 | header[3]);
}

static void add(struct message *message, const unsigned char *data, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (message->length < MESSAGE_HEADER)
			message->header[message->length] = data[i];
		message->length++;
	}
}

static int check_message(const struct message *message)
{
	if (message->length > 0 && message->header[0] != TYPE_CLIENT_HELLO)
		return -EPROTO;
	return has_header(message) && total(message) > CLIENT_HELLO_MAX ? -EMSGSIZE : 0;
}

/* Of as much of a record's header as there is. */
static bool is_handshake_record(const unsigned char *data, size_t length)
{
	return (length < 1 || data[0] == TYPE_HANDSHAKE) &&
	       (length < 2 || data[1] == MAJOR_VERSION) &&
	       (length < RECORD_HEADER || data[3] != 0 || data[4] != 0);
}

static size_t min(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* One record from an offset, which is set to its end. Returns 0, or as client_hello_check(). */
static int check_record(struct message *message, const unsigned char *data, size_t length,
	size_t *offset, size_t *needed)
{
	const unsigned char *record = data + *offset;
	size_t left = length - *offset, size;
	int error;

	if (!is_handshake_record(record, left))
		return -EPROTO;
	*needed = *offset + RECORD_HEADER;
	if (left >= RECORD_HEADER) {
		size = (size_t)record[3] << 8 | record[4];
		add(message, record + RECORD_HEADER, min(left - RECORD_HEADER, size));
		*needed += size;
	}
	error = check_message(message);
	if (error < 0)
		return error;
	if (*needed > CLIENT_HELLO_MAX)
		return -EMSGSIZE;
	*offset = *needed;
	return *needed > length ? -EAGAIN : 0;
}

int client_hello_check(const unsigned char *data, size_t length, size_t *needed)
{
	struct message message = {.length = 0};
	size_t offset = 0;
	int error = 0;

	while (error == 0 && (!has_header(&message) || message.length < total(&message)))
		error = check_record(&message, data, length, &offset, needed);
	return error;
}
