/*
 * Joins the packets of a flow that arrived together into super-packets, each written to the TUN
 * with one system call: the reverse of segment.h, with the rules of the kernel's GRO. Packets are
 * kept where they are until the flush. TCP and UDP, without IPv4 options or IPv6 extension headers;
 * all else goes through as it is. The order within a flow is kept.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <linux/virtio_net.h>

enum {
	COALESCE_PACKETS = 1000, /* between two flushes: fewer than IOV_MAX */
	COALESCE_BUCKETS = 256,
};

struct coalesce_piece {
	uint8_t *data;
	uint32_t length;
	uint32_t next; /* index of the item's next piece */
};

/* A packet, and those that were joined to it. */
struct coalesce_item {
	uint32_t first, last; /* pieces; the first has the headers */
	uint32_t count;
	uint32_t length; /* of the whole super-packet */
	uint32_t next_sequence;
	uint16_t step; /* payload bytes of every piece but the last; 0: takes no more */
	uint16_t header;
	uint16_t next_id;
	uint8_t end_flags; /* TCP flags of the last piece */
	bool verified; /* the first packet's checksum was checked */
};

struct coalescer {
	bool udp; /* whether the TUN takes UDP super-packets */
	bool off; /* nothing is joined; the caller's to set, between flushes */
	uint32_t n_items, n_pieces;
	uint32_t generation; /* of the buckets in use; older ones are empty */
	struct {
		uint32_t generation;
		uint32_t item;
	} buckets[COALESCE_BUCKETS]; /* the newest item of the flows that share a bucket */
	struct coalesce_item items[COALESCE_PACKETS];
	struct coalesce_piece pieces[COALESCE_PACKETS];
	struct iovec vector[COALESCE_PACKETS + 1];
};

/* One packet to write: the first element of the vector is the virtio_net_hdr. */
typedef void coalesce_write(void *context, const struct iovec *vector, int n);

void coalescer_init(struct coalescer *c, bool udp);

/*
 * Takes a packet of exactly the length its IP header says (packet_parse()); it must stay, and may
 * be written to, until the flush. The caller flushes when coalescer_is_full().
 */
void coalescer_add(struct coalescer *c, uint8_t *data, size_t length);

static inline bool coalescer_is_full(const struct coalescer *c)
{
	return c->n_pieces == COALESCE_PACKETS;
}

/* Writes all there is, and starts anew. */
void coalescer_flush(struct coalescer *c, coalesce_write *write, void *context);
