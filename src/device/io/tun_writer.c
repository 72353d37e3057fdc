/* Inner packets on their way to the TUN: joined by a coalescer, then written. Each worker has one.
 */
#include "device/io/tun_writer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>

int tun_writer_init(struct tun_writer *writer, int tun, bool uso, struct drops *drops)
{
	*writer = (struct tun_writer){.tun = tun, .drops = drops};
	writer->coalescer = malloc(sizeof *writer->coalescer);
	if (!writer->coalescer)
		return -ENOMEM;
	coalescer_init(writer->coalescer, uso);
	return 0;
}

void tun_writer_free(struct tun_writer *writer)
{
	free(writer->coalescer);
}

static void write_vector(void *context, const struct iovec *vector, int n)
{
	struct tun_writer *writer = context;

	if (writev(writer->tun, vector, n) < 0)
		count_drop(&writer->drops->unsent);
}

void tun_writer_flush(struct tun_writer *writer)
{
	coalescer_flush(writer->coalescer, write_vector, writer);
}

void tun_writer_add(struct tun_writer *writer, uint8_t *data, size_t length)
{
	if (coalescer_is_full(writer->coalescer))
		tun_writer_flush(writer);
	coalescer_add(writer->coalescer, data, length);
}

void tun_writer_write(struct tun_writer *writer, const struct virtio_net_hdr *header, uint8_t *data,
	size_t length)
{
	const struct iovec vector[] = {{(void *)header, sizeof *header}, {data, length}};

	tun_writer_flush(writer);
	write_vector(writer, vector, sizeof vector / sizeof *vector);
}
