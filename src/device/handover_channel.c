/* Records, several in a packet, with time limits, and wiped after. Runs in the control thread of
 * the old process and of the new one. */
#include "device/handover_channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptor.h"

static int limit_waiting(int fd)
{
	const struct timeval limit = timeval_from_ms(HANDOVER_STEP_MS);

	return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0 ||
			       setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0
		       ? -errno
		       : 0;
}

int handover_channel_init(struct handover_channel *channel, int fd)
{
	*channel = (struct handover_channel){
		.fd = fd,
		.out = malloc(HANDOVER_PACKET_MAX),
		.in = malloc(HANDOVER_PACKET_MAX),
		.received_fd = -1,
	};
	return channel->out && channel->in ? limit_waiting(fd) : -ENOMEM;
}

static void free_buffer(uint8_t *buffer)
{
	if (buffer)
		explicit_bzero(buffer, HANDOVER_PACKET_MAX);
	free(buffer);
}

void handover_channel_free(struct handover_channel *channel)
{
	free_buffer(channel->out);
	free_buffer(channel->in);
	if (channel->fd >= 0)
		close(channel->fd);
	if (channel->received_fd >= 0)
		close(channel->received_fd);
	*channel = (struct handover_channel){.fd = -1, .received_fd = -1};
}

static size_t aligned(size_t length)
{
	return (length + HANDOVER_ALIGN - 1) / HANDOVER_ALIGN * HANDOVER_ALIGN;
}

static int send_packet(struct handover_channel *channel, int fd)
{
	int error;

	do
		error = descriptor_send(channel->fd, channel->out, channel->used, fd, 0);
	while (error == -EINTR);

	channel->used = 0;
	return error == -EAGAIN ? -ETIMEDOUT : error;
}

int handover_flush(struct handover_channel *channel)
{
	return channel->used == 0 ? 0 : send_packet(channel, -1);
}

int handover_put_with(struct handover_channel *channel, enum handover_type type, const void *data,
	size_t length, const void *more, size_t more_length)
{
	const struct handover_header header = {.version = HANDOVER_VERSION,
		.type = (uint16_t)type,
		.length = (uint32_t)(length + more_length)};
	const size_t size = sizeof header + aligned(length + more_length);
	uint8_t *at;
	int error = 0;

	if (size > HANDOVER_PACKET_MAX)
		return -EMSGSIZE;
	if (channel->used > 0 && channel->used + size > HANDOVER_PACKET_FILL)
		error = handover_flush(channel);
	if (error < 0)
		return error;
	at = channel->out + channel->used;
	memset(at, 0, size);
	memcpy(at, &header, sizeof header);
	at += sizeof header;
	if (length > 0)
		memcpy(at, data, length);
	if (more_length > 0)
		memcpy(at + length, more, more_length);
	channel->used += size;
	return 0;
}

int handover_put(
	struct handover_channel *channel, enum handover_type type, const void *data, size_t length)
{
	return handover_put_with(channel, type, data, length, NULL, 0);
}

int handover_put_file(struct handover_channel *channel, const struct handover_file *file, int fd)
{
	int error = handover_flush(channel);

	if (error == 0)
		error = handover_put(channel, HANDOVER_FILE, file, sizeof *file);
	return error == 0 ? send_packet(channel, fd) : error;
}

static int receive_packet(struct handover_channel *channel)
{
	int n;

	if (channel->received_fd >= 0)
		close(channel->received_fd);
	do
		n = descriptor_receive(
			channel->fd, channel->in, HANDOVER_PACKET_MAX, &channel->received_fd, 0);
	while (n == -EINTR);
	channel->at = 0;
	channel->length = n > 0 ? (size_t)n : 0;
	return n == -EAGAIN ? -ETIMEDOUT : n < 0 ? n : 0;
}

/* The record at the place that is reached. */
static int parse_record(struct handover_channel *channel, struct handover_header *header,
	struct handover_record *record)
{
	const uint8_t *begin = channel->in + channel->at;
	const size_t left = channel->length - channel->at;
	size_t size;

	channel->at = channel->length; /* nothing after one that is wrong */
	if (left < sizeof *header)
		return -EPROTO;
	memcpy(header, begin, sizeof *header);
	size = sizeof *header + aligned(header->length);
	if (size > left)
		return -EPROTO;
	*record = (struct handover_record){.type = header->type,
		.data = begin + sizeof *header,
		.length = header->length,
		.fd = channel->received_fd};
	channel->received_fd = -1;
	channel->at -= left - size;
	return 0;
}

static bool is_known(const struct handover_header *header)
{
	return header->version == HANDOVER_VERSION && header->type >= HANDOVER_HELLO &&
	       header->type <= HANDOVER_TAKEN;
}

int handover_next(struct handover_channel *channel, struct handover_record *record)
{
	struct handover_header header;
	int error = 0;

	do {
		if (channel->at == channel->length)
			error = receive_packet(channel);
		if (error == 0)
			error = parse_record(channel, &header, record);
		if (error < 0)
			return error;
		if (is_known(&header))
			return 0;
		if (record->fd >= 0)
			close(record->fd);
		record->fd = -1;
	} while (header.flags & HANDOVER_OPTIONAL);
	/* a greeting or a refusal is understood of every version */
	return header.type == HANDOVER_HELLO || header.type == HANDOVER_REFUSED ? 0
										: -EPROTONOSUPPORT;
}

void handover_read(const struct handover_record *record, void *fields, size_t size)
{
	memset(fields, 0, size);
	memcpy(fields, record->data, record->length < size ? record->length : size);
}

const uint8_t *handover_behind(const struct handover_record *record, size_t size, size_t *length)
{
	*length = record->length > size ? record->length - size : 0;
	return *length > 0 ? record->data + size : NULL;
}
