/*
 * Packets in, each with its length in two bytes before it: what is written must be, cut again, the
 * packets of the input in number and in their bytes all together.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "device/io/coalesce.h"
#include "device/io/packet.h"
#include "device/io/segment.h"

enum { PACKET_SIZE_MAX = 2000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct output {
	size_t packets, bytes;
};

static void write_packet(void *context, const struct iovec *vector, int n)
{
	struct output *output = context;
	struct virtio_net_hdr header;
	struct segmenter segmenter;
	struct segment segment;
	size_t length = 0;
	uint8_t *packet;

	memcpy(&header, vector[0].iov_base, sizeof header);
	for (int i = 1; i < n; i++)
		length += vector[i].iov_len;
	packet = malloc(length + SEGMENT_PAD_MAX);
	length = 0;
	for (int i = 1; i < n; i++) {
		memcpy(packet + length, vector[i].iov_base, vector[i].iov_len);
		length += vector[i].iov_len;
	}
	if (segmenter_begin(&segmenter, &header, packet, length) < 0)
		abort();
	while (segmenter_next(&segmenter, &segment)) {
		output->packets++;
		output->bytes += segment.length;
	}
	free(packet);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct coalescer coalescer;
	struct output output = {0};
	uint8_t *copies[COALESCE_PACKETS];
	size_t n = 0, bytes = 0;

	coalescer_init(&coalescer, size % 2);
	while (size > 2 && n < COALESCE_PACKETS) {
		size_t length = packet_get16(data) % PACKET_SIZE_MAX;
		struct packet packet;

		data += 2;
		size -= 2;
		if (length > size)
			length = size;
		if (packet_parse(data, length, &packet) == 0) {
			copies[n] = malloc(packet.length);
			memcpy(copies[n], data, packet.length);
			coalescer_add(&coalescer, copies[n], packet.length);
			bytes += packet.length;
			n++;
		}
		data += length;
		size -= length;
	}
	coalescer_flush(&coalescer, write_packet, &output);
	if (output.packets != n || output.bytes != bytes)
		abort();
	while (n > 0)
		free(copies[--n]);
	return 0;
}
