/*
 * Which packets are joined, and the headers of what comes of it. Runs in every worker, on what it
 * has received.
 */
#include "device/io/coalesce.h"

#include <string.h>

#include "base/checksum.h"
#include "device/io/gso.h"
#include "device/io/headers.h"
#include "device/io/packet.h"

enum {
	UDP_SEGMENTS_MAX = 64, /* what every kernel takes */
	PORTS = 4, /* bytes */
};

/* A packet that can be joined with others. */
struct candidate {
	struct packet packet;
	uint8_t *data;
	uint8_t *transport;
	size_t header; /* of IP and TCP or UDP */
	size_t payload;
	uint8_t protocol;
	uint8_t flags; /* TCP */
};

void coalescer_init(struct coalescer *c, bool udp)
{
	memset(c, 0, sizeof *c);
	c->udp = udp;
	c->generation = 1;
}

/* What belongs to a flow for the table: TCP and UDP packets that are no fragments. */
static bool find_transport(struct candidate *p, uint8_t *data, size_t length)
{
	if (packet_parse(data, length, &p->packet) < 0)
		return false;
	p->data = data;
	p->transport = data + p->packet.header;
	if (p->packet.version == 4) {
		if (packet_get16(data + IPV4_FRAGMENT) & IPV4_NOT_DF)
			return false;
		p->protocol = data[IPV4_PROTOCOL];
	} else {
		p->protocol = data[IPV6_NEXT_HEADER];
	}
	if (p->protocol == PACKET_TCP)
		return length >= p->packet.header + PACKET_TCP_HEADER;
	return p->protocol == PACKET_UDP && length >= p->packet.header + PACKET_UDP_HEADER;
}

/* Whether others can be joined to it, as far as can be seen from this packet alone. */
static bool is_joinable(struct candidate *p, bool udp)
{
	size_t transport_header = PACKET_UDP_HEADER;

	if (p->packet.version == 4 && p->packet.header != PACKET_IPV4_HEADER)
		return false;
	if (p->protocol == PACKET_TCP) {
		p->flags = p->transport[TCP_FLAGS];
		if ((p->flags & ~(TCP_PSH | TCP_FIN | TCP_ECE)) != TCP_ACK)
			return false;
		transport_header = (size_t)(p->transport[TCP_DATA_OFFSET] >> 4) * 4;
		if (transport_header < PACKET_TCP_HEADER)
			return false;
	} else if (!udp || packet_get16(p->transport + UDP_CHECKSUM) == 0 ||
		   packet_get16(p->transport + UDP_LENGTH) != p->packet.length - p->packet.header) {
		return false;
	}
	p->header = p->packet.header + transport_header;
	if (p->header >= p->packet.length)
		return false;
	p->payload = p->packet.length - p->header;
	return true;
}

static bool has_good_checksums(const struct candidate *p)
{
	size_t length = p->packet.length - p->packet.header;
	uint64_t sum = packet_pseudo_sum(&p->packet, p->protocol, length);

	if (p->packet.version == 4 && checksum_field(p->data, PACKET_IPV4_HEADER) != 0)
		return false;
	return checksum_fold(sum + checksum_add(0, p->transport, length)) == 0xffff;
}

static uint32_t bucket_of(const struct candidate *p)
{
	uint32_t sum = 0, word;
	const uint8_t *end = p->transport + PORTS;

	/* addresses and ports are neighbours, as there are no options where it matters */
	for (const uint8_t *at = p->packet.source; at < end; at += sizeof word) {
		memcpy(&word, at, sizeof word);
		sum = (sum ^ word) * 0x9e3779b1u;
	}
	return (sum ^ p->protocol) >> 24;
}

static bool same(const uint8_t *a, const uint8_t *b, size_t offset, size_t length)
{
	return memcmp(a + offset, b + offset, length) == 0;
}

/* Whether the headers differ only in what a super-packet restores. */
static bool same_headers(const struct candidate *p, const uint8_t *head)
{
	size_t ip = p->packet.header;
	const uint8_t *data = p->data;

	if (data[0] != head[0])
		return false;
	if (p->packet.version == 4) {
		if (data[IPV4_TOS] != head[IPV4_TOS] || !same(data, head, IPV4_FRAGMENT, 4) ||
			!same(data, head, IPV4_SOURCE, 8 + PORTS))
			return false;
	} else if (!same(data, head, 0, 4) || !same(data, head, IPV6_NEXT_HEADER, 34 + PORTS)) {
		return false;
	}
	if (p->protocol == PACKET_UDP)
		return true;
	return same(data, head, ip + TCP_ACKNOWLEDGEMENT, 5) &&
	       ((data[ip + TCP_FLAGS] ^ head[ip + TCP_FLAGS]) & TCP_ECE) == 0 &&
	       same(data, head, ip + TCP_WINDOW, 2) &&
	       same(data, head, ip + TCP_URGENT, p->header - ip - TCP_URGENT);
}

/* The identification must go on counting, unless nobody may use it: RFC 6864, section 4. */
static bool is_next_id(const struct coalesce_item *item, const struct candidate *p)
{
	return p->packet.version == 6 || packet_get16(p->data + IPV4_FRAGMENT) & IPV4_DF ||
	       packet_get16(p->data + IPV4_ID) == item->next_id;
}

static bool verify_first(struct coalescer *c, struct coalesce_item *item)
{
	struct candidate first;
	const struct coalesce_piece *piece = &c->pieces[item->first];

	if (!item->verified) {
		if (!find_transport(&first, piece->data, piece->length) ||
			!has_good_checksums(&first))
			return false;
		item->verified = true;
	}
	return true;
}

static bool fits(struct coalescer *c, struct coalesce_item *item, const struct candidate *p)
{
	const uint8_t *head = c->pieces[item->first].data;

	if (item->step == 0 || p->header != item->header || p->payload > item->step ||
		item->length + p->payload > PACKET_MAX || !same_headers(p, head))
		return false;
	if (p->protocol == PACKET_TCP) {
		if (packet_get32(p->transport + TCP_SEQUENCE) != item->next_sequence)
			return false;
	} else if (item->count == UDP_SEGMENTS_MAX) {
		return false;
	}
	if (!is_next_id(item, p) || !has_good_checksums(p))
		return false;
	if (verify_first(c, item))
		return true;
	item->step = 0;
	return false;
}

static uint32_t add_piece(struct coalescer *c, uint8_t *data, size_t length)
{
	c->pieces[c->n_pieces] = (struct coalesce_piece){.data = data, .length = (uint32_t)length};
	return c->n_pieces++;
}

static void join(struct coalescer *c, struct coalesce_item *item, const struct candidate *p)
{
	uint32_t piece = add_piece(c, p->data + p->header, p->payload);

	c->pieces[item->last].next = piece;
	item->last = piece;
	item->count++;
	item->length += (uint32_t)p->payload;
	item->next_sequence += (uint32_t)p->payload;
	item->next_id++;
	item->end_flags = p->flags;
	if (p->payload < item->step || p->flags & (TCP_PSH | TCP_FIN))
		item->step = 0;
}

static struct coalesce_item *add_item(struct coalescer *c, uint8_t *data, size_t length)
{
	struct coalesce_item *item = &c->items[c->n_items++];
	uint32_t piece = add_piece(c, data, length);

	*item = (struct coalesce_item){
		.first = piece, .last = piece, .count = 1, .length = (uint32_t)length};
	return item;
}

static void open_item(struct coalesce_item *item, const struct candidate *p)
{
	item->header = (uint16_t)p->header;
	item->next_id = (uint16_t)(packet_get16(p->data + IPV4_ID) + 1);
	item->next_sequence = packet_get32(p->transport + TCP_SEQUENCE) + (uint32_t)p->payload;
	item->end_flags = p->flags;
	if (!(p->flags & (TCP_PSH | TCP_FIN)))
		item->step = (uint16_t)p->payload;
}

void coalescer_add(struct coalescer *c, uint8_t *data, size_t length)
{
	struct candidate p = {0};
	struct coalesce_item *item = NULL;
	uint32_t bucket;
	bool joinable;

	if (!find_transport(&p, data, length)) {
		/* it may belong to any flow, so nothing may overtake it */
		c->generation++;
		add_item(c, data, length);
		return;
	}
	bucket = bucket_of(&p);
	joinable = !c->off && is_joinable(&p, c->udp);
	if (c->buckets[bucket].generation == c->generation)
		item = &c->items[c->buckets[bucket].item];
	if (joinable && item && fits(c, item, &p)) {
		join(c, item, &p);
		return;
	}
	c->buckets[bucket].generation = c->generation;
	c->buckets[bucket].item = c->n_items;
	item = add_item(c, data, length);
	if (joinable)
		open_item(item, &p);
}

/* Makes the first packet's headers those of the super-packet. */
static void finish_headers(
	struct coalescer *c, const struct coalesce_item *item, struct virtio_net_hdr *header)
{
	uint8_t *data = c->pieces[item->first].data;
	struct packet packet;
	uint8_t *transport, protocol;
	uint16_t check;
	bool tcp;

	/* the first packet was parsed when it came */
	packet_parse(data, c->pieces[item->first].length, &packet);
	protocol = packet.version == 4 ? data[IPV4_PROTOCOL] : data[IPV6_NEXT_HEADER];
	tcp = protocol == PACKET_TCP;
	transport = data + packet.header;
	if (packet.version == 4) {
		packet_set16(data + IPV4_TOTAL_LENGTH, (uint16_t)item->length);
		packet_set16(data + IPV4_CHECKSUM, 0);
		check = checksum_field(data, PACKET_IPV4_HEADER);
		memcpy(data + IPV4_CHECKSUM, &check, sizeof check);
	} else {
		packet_set16(
			data + IPV6_PAYLOAD_LENGTH, (uint16_t)(item->length - PACKET_IPV6_HEADER));
	}
	check = checksum_fold(packet_pseudo_sum(&packet, protocol, item->length - packet.header));
	memcpy(transport + (tcp ? TCP_CHECKSUM : UDP_CHECKSUM), &check, sizeof check);
	if (tcp)
		transport[TCP_FLAGS] |= item->end_flags & (TCP_PSH | TCP_FIN);
	else
		packet_set16(transport + UDP_LENGTH, (uint16_t)(item->length - packet.header));

	header->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	header->hdr_len = item->header;
	header->gso_size = (uint16_t)(c->pieces[item->first].length - item->header);
	header->csum_start = (uint16_t)packet.header;
	header->csum_offset = tcp ? TCP_CHECKSUM : UDP_CHECKSUM;
	if (!tcp)
		header->gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
	else
		header->gso_type =
			packet.version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
}

void coalescer_flush(struct coalescer *c, coalesce_write *write, void *context)
{
	for (uint32_t i = 0; i < c->n_items; i++) {
		const struct coalesce_item *item = &c->items[i];
		struct virtio_net_hdr header = {0};
		uint32_t piece = item->first;
		int n = 0;

		if (item->count > 1)
			finish_headers(c, item, &header);
		c->vector[n++] = (struct iovec){&header, sizeof header};
		for (uint32_t k = 0; k < item->count; k++) {
			c->vector[n++] =
				(struct iovec){c->pieces[piece].data, c->pieces[piece].length};
			piece = c->pieces[piece].next;
		}
		write(context, c->vector, n);
	}
	c->n_items = 0;
	c->n_pieces = 0;
	c->generation++;
}
