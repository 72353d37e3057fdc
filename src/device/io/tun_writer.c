/* Inner packets on their way to the TUN: joined by a coalescer, then written. Each worker has one.
 */
#include "device/io/tun_writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "device/io/segment.h"

enum {
	WHOLE_SIZE = 65536 + SEGMENT_PAD_MAX,
};

int tun_writer_init(struct tun_writer *writer, int tun, bool uso, struct drops *drops,
	struct refusals *refusals)
{
	*writer = (struct tun_writer){.tun = tun, .drops = drops, .refusals = refusals};
	writer->coalescer = malloc(sizeof *writer->coalescer);
	if (!writer->coalescer)
		return -ENOMEM;
	coalescer_init(writer->coalescer, uso);
	return 0;
}

void tun_writer_free(struct tun_writer *writer)
{
	free(writer->coalescer);
	free(writer->whole);
}

static bool write_all(struct tun_writer *writer, const struct iovec *vector, int n)
{
	return writev(writer->tun, vector, n) >= 0;
}

/* Puts a packet together; its bytes are the writer's until the next one. 0: there is no memory. */
static size_t gather(struct tun_writer *writer, const struct iovec *vector, int n)
{
	size_t length = 0;

	if (!writer->whole)
		writer->whole = malloc(WHOLE_SIZE);
	for (int i = 0; writer->whole && i < n; i++) {
		if (length + vector[i].iov_len > WHOLE_SIZE - SEGMENT_PAD_MAX)
			return 0;
		memcpy(writer->whole + length, vector[i].iov_base, vector[i].iov_len);
		length += vector[i].iov_len;
	}
	return length;
}

/* Writes what was joined as the packets that it was joined from. */
static bool write_singly(struct tun_writer *writer, const struct virtio_net_hdr *header,
	const struct iovec *vector, int n)
{
	struct virtio_net_hdr plain = {0};
	struct segmenter segmenter;
	struct segment segment;
	size_t length = gather(writer, vector, n);
	bool any = false;

	if (length == 0 || segmenter_begin(&segmenter, header, writer->whole, length) < 0)
		return false;
	while (segmenter_next(&segmenter, &segment)) {
		const struct iovec one[] = {{&plain, sizeof plain}, {segment.data, segment.length}};

		any |= write_all(writer, one, sizeof one / sizeof *one);
	}
	return any;
}

static void stop_joining(struct tun_writer *writer)
{
	writer->single_left = REFUSAL_LASTS;
	refusal_say(writer->refusals, REFUSAL_TUN_JOINED);
}

/* Whether the kernel is to cut it, or to compute its checksum. */
static bool is_unfinished(const struct virtio_net_hdr *header)
{
	return header->gso_type != VIRTIO_NET_HDR_GSO_NONE ||
	       header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
}

static void write_vector(void *context, const struct iovec *vector, int n)
{
	struct tun_writer *writer = context;
	const struct virtio_net_hdr *header = vector[0].iov_base;
	bool unfinished = is_unfinished(header), tried = !unfinished || writer->single_left == 0;

	if (tried && write_all(writer, vector, n))
		return;
	if (!unfinished || (tried && errno != EINVAL) ||
		!write_singly(writer, header, vector + 1, n - 1))
		count_drop(&writer->drops->unsent);
	else if (tried)
		stop_joining(writer);
}

void tun_writer_flush(struct tun_writer *writer)
{
	coalescer_flush(writer->coalescer, write_vector, writer);
	writer->coalescer->off = writer->single_left > 0;
}

void tun_writer_add(struct tun_writer *writer, uint8_t *data, size_t length)
{
	if (coalescer_is_full(writer->coalescer))
		tun_writer_flush(writer);
	writer->single_left = refusal_pass(writer->single_left, 1);
	coalescer_add(writer->coalescer, data, length);
}

void tun_writer_write(struct tun_writer *writer, const struct virtio_net_hdr *header, uint8_t *data,
	size_t length)
{
	const struct iovec vector[] = {{(void *)header, sizeof *header}, {data, length}};

	tun_writer_flush(writer);
	writer->single_left = refusal_pass(writer->single_left, 1);
	write_vector(writer, vector, sizeof vector / sizeof *vector);
}
