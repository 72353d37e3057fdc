/*
 * Cuts a super-packet, as the TUN gives it with a virtio_net_hdr, into packets that fit the wire,
 * with whole checksums: TCP and UDP, IPv4 and IPv6. In place and without copying payload: each
 * segment's header is written in front of its payload, over the end of the segment before.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/virtio_net.h>

enum {
	SEGMENT_HEADER_MAX = 256, /* IP with options or extensions, and TCP or UDP */
	SEGMENT_PAD_MAX = 15,
};

struct segmenter {
	uint8_t *packet;
	size_t length;
	size_t transport; /* offset of the TCP or UDP header */
	size_t header; /* length of all headers; 0: not to be cut */
	size_t step; /* payload bytes of every segment but the last */
	size_t done; /* payload bytes that were given out */
	uint32_t count; /* of segments given out */
	uint8_t version;
	uint8_t protocol;
	uint8_t pad; /* bytes in saved */
	uint8_t saved[SEGMENT_PAD_MAX]; /* what the padding has overwritten */
	uint8_t template[SEGMENT_HEADER_MAX];
};

struct segment {
	uint8_t *data;
	size_t length;
};

/*
 * Starts with one packet as it was read, which is kept by reference and written to. Returns 0, or
 * -EINVAL if the packet and its virtio_net_hdr do not fit each other or this file's limits.
 */
int segmenter_begin(
	struct segmenter *s, const struct virtio_net_hdr *header, uint8_t *packet, size_t length);

/* The number of segments there will be. */
size_t segmenter_count(const struct segmenter *s);

/* The next segment, in order; the one before must not be used any more. False at the end. */
bool segmenter_next(struct segmenter *s, struct segment *segment);

/* Puts n zeros, SEGMENT_PAD_MAX at the most, behind the current segment until the next call of
 * segmenter_next(). Behind the packet there must be as much room. */
void segmenter_pad(struct segmenter *s, const struct segment *segment, size_t n);
