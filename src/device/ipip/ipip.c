/*
 * The raw-socket path of IPIP: peers' packets are encapsulated and sent in batches, and what a raw
 * socket receives is decapsulated. Workers send and receive; the control thread finds peers and
 * reads errors; the privileged helper opens the sockets.
 */
#include "device/ipip/ipip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/filter.h>

#include "base/checksum.h"
#include "device/io/batch_call.h"
#include "device/io/ecn.h"
#include "device/io/headers.h"
#include "device/io/icmp.h"
#include "device/io/packet.h"
#include "device/io/segment.h"
#include "device/wireguard/allowedips_lookup.h"

enum {
	SEND_BATCH = 64,
	SEND_BUFFER = 2 * 65536,
	RECEIVE_BATCH = 64,
	RECEIVE_SIZE = 65536, /* of one packet; pages that are not written to are not there */
	SOCKET_BUFFER = 8 << 20,

	OUTER_TTL = 64,

	IPIP_MTU_MIN = 576, /* as a path MTU that is told: RFC 1191 has smaller ones, TCP no use */
	IPIP_MTU_STEP = 64, /* the path's MTU is not known: it is approached in such steps */
};

struct ipip_sender {
	struct ipip *ipip;
	struct batch_call call;
	int tun; /* queue to write an error to */
	unsigned int n;
	size_t used;
	struct mmsghdr headers[SEND_BATCH];
	struct iovec vectors[SEND_BATCH];
	struct sockaddr_in names[SEND_BATCH];
	uint8_t buffer[SEND_BUFFER];
};

struct ipip_receiver {
	struct ipip *ipip;
	struct batch_call call;
	struct mmsghdr headers[RECEIVE_BATCH];
	struct iovec vectors[RECEIVE_BATCH];
	uint8_t buffers[RECEIVE_BATCH][RECEIVE_SIZE];
};

void ipip_init(struct ipip *ipip, struct epoch *epoch, const _Atomic uint32_t *mtu,
	struct drops *drops, struct refusals *refusals)
{
	*ipip = (struct ipip){
		.raw = -1, .fragmenting = -1, .mtu = mtu, .drops = drops, .refusals = refusals};
	allowedips_init(&ipip->peers, epoch);
}

void ipip_free(struct ipip *ipip)
{
	allowedips_free(&ipip->peers);
}

struct ipip_peer *ipip_find_peer(const struct ipip *ipip, struct in_addr remote)
{
	struct allowedips_owner *owner = allowedips_lookup4(&ipip->peers, &remote);

	return owner ? ipip_peer_of_outer(owner) : NULL;
}

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof value) < 0 ? -errno : 0;
}

/* Receives nothing: another socket does. */
static int refuse_all(int fd)
{
	struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = {.len = 1, .filter = &nothing};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ? -errno
											  : 0;
}

int ipip_open(struct in_addr local, uint32_t mark, bool fragmenting)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = local};
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_IPIP), error;

	if (fd < 0)
		return -errno;
	if (set(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER) < 0)
		set(fd, SOL_SOCKET, SO_RCVBUF, SOCKET_BUFFER);
	if (set(fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BUFFER) < 0)
		set(fd, SOL_SOCKET, SO_SNDBUF, SOCKET_BUFFER);
	if (fragmenting) {
		error = refuse_all(fd);
		if (error == 0)
			error = set(fd, SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
		if (error == 0)
			error = set(fd, SOL_IP, IP_RECVERR, 1);
	} else {
		error = set(fd, SOL_IP, IP_HDRINCL, 1);
	}
	if (error == 0 && mark != 0)
		error = set(fd, SOL_SOCKET, SO_MARK, (int)mark);
	if (error == 0 && bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
		error = -errno;
	if (error < 0) {
		close(fd);
		return error;
	}
	return fd;
}

struct ipip_sender *ipip_sender_new(struct ipip *ipip, int tun)
{
	struct ipip_sender *sender = malloc(sizeof *sender);

	if (!sender)
		return NULL;
	sender->ipip = ipip;
	sender->call = (struct batch_call){.refusals = ipip->refusals};
	sender->tun = tun;
	sender->n = 0;
	sender->used = 0;
	memset(sender->headers, 0, sizeof sender->headers);
	for (int i = 0; i < SEND_BATCH; i++) {
		sender->headers[i].msg_hdr.msg_iov = &sender->vectors[i];
		sender->headers[i].msg_hdr.msg_iovlen = 1;
		sender->headers[i].msg_hdr.msg_name = &sender->names[i];
		sender->headers[i].msg_hdr.msg_namelen = sizeof sender->names[i];
	}
	return sender;
}

void ipip_sender_free(struct ipip_sender *sender)
{
	free(sender);
}

/* The packet was too long for the path, and may not be cut: its sender must know. RFC 2003, 5.1. */
static void tell_too_long(struct ipip_sender *sender, const uint8_t *inner, size_t length)
{
	size_t mtu = length > IPIP_MTU_STEP ? (length - 1) & ~(size_t)(IPIP_MTU_STEP - 1) : 0;
	struct virtio_net_hdr header = {0};
	uint8_t answer[ICMP_ANSWER_MAX];
	const struct iovec vector[] = {{&header, sizeof header},
		{answer, icmp_too_long(inner, length,
				 (uint16_t)(mtu < IPIP_MTU_MIN ? IPIP_MTU_MIN : mtu), answer)}};

	if (writev(sender->tun, vector, 2) < 0)
		count_drop(&sender->ipip->drops->unsent);
}

/* Without a header of ours the kernel cuts a packet into fragments. */
static ssize_t send_fragments(int fd, struct sockaddr_in *to, const uint8_t *inner, size_t length)
{
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec vector = {(void *)inner, length};
	struct msghdr message = {.msg_name = to,
		.msg_namelen = sizeof *to,
		.msg_iov = &vector,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	int tos = inner[IPV4_TOS];

	c->cmsg_level = SOL_IP;
	c->cmsg_type = IP_TOS;
	c->cmsg_len = CMSG_LEN(sizeof tos);
	memcpy(CMSG_DATA(c), &tos, sizeof tos);
	return sendmsg(fd, &message, MSG_NOSIGNAL);
}

/* What could not be sent in one piece. */
static void send_long(struct ipip_sender *sender, const struct msghdr *message)
{
	const uint8_t *outer = message->msg_iov->iov_base, *inner = outer + PACKET_IPV4_HEADER;
	size_t length = message->msg_iov->iov_len - PACKET_IPV4_HEADER;
	int fd = sender->ipip->fragmenting;

	if (packet_get16(inner + IPV4_FRAGMENT) & IPV4_DF) {
		tell_too_long(sender, inner, length);
		return;
	}
	/* the first error may be an earlier packet's, as a router has told */
	if (send_fragments(fd, message->msg_name, inner, length) < 0 &&
		send_fragments(fd, message->msg_name, inner, length) < 0)
		count_drop(&sender->ipip->drops->unsent);
}

void ipip_flush(struct ipip_sender *sender)
{
	unsigned int done = 0;

	while (done < sender->n) {
		int n = batch_send(
			&sender->call, sender->ipip->raw, sender->headers + done, sender->n - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			if (errno == EMSGSIZE)
				send_long(sender, &sender->headers[done].msg_hdr);
			else
				count_drop(&sender->ipip->drops->unsent);
			n = 1;
		}
		done += (unsigned int)n;
	}
	sender->n = 0;
	sender->used = 0;
}

/* RFC 2003, 3.1; RFC 6040, 4.1. The kernel fills in the source, the length, the identification and
 * the checksum. */
static void write_outer(uint8_t *outer, const uint8_t *inner, struct in_addr remote)
{
	memset(outer, 0, PACKET_IPV4_HEADER);
	outer[0] = IPV4_PLAIN;
	outer[IPV4_TOS] = inner[IPV4_TOS];
	packet_set16(outer + IPV4_FRAGMENT, packet_get16(inner + IPV4_FRAGMENT) & IPV4_DF);
	outer[IPV4_TTL] = OUTER_TTL;
	outer[IPV4_PROTOCOL] = IPPROTO_IPIP;
	memcpy(outer + IPV4_DESTINATION, &remote, sizeof remote);
}

static void add_packet(
	struct ipip_sender *sender, const struct ipip_peer *peer, const struct segment *segment)
{
	size_t length = PACKET_IPV4_HEADER + segment->length;
	uint8_t *outer;

	if (sender->n == SEND_BATCH || sender->used + length > SEND_BUFFER)
		ipip_flush(sender);
	outer = sender->buffer + sender->used;
	write_outer(outer, segment->data, peer->remote);
	memcpy(outer + PACKET_IPV4_HEADER, segment->data, segment->length);
	sender->vectors[sender->n] = (struct iovec){outer, length};
	sender->names[sender->n] =
		(struct sockaddr_in){.sin_family = AF_INET, .sin_addr = peer->remote};
	sender->used += length;
	sender->n++;
}

void ipip_send(struct ipip_sender *sender, struct ipip_peer *peer,
	const struct virtio_net_hdr *header, uint8_t *packet, size_t length, uint64_t now_ms)
{
	struct segmenter segmenter;
	struct segment segment;

	if (packet[0] >> 4 != 4 || segmenter_begin(&segmenter, header, packet, length) < 0) {
		count_drop(&sender->ipip->drops->malformed);
		return;
	}
	while (segmenter_next(&segmenter, &segment))
		add_packet(sender, peer, &segment);
	atomic_fetch_add_explicit(&peer->target.sent, length, memory_order_relaxed);
	atomic_store_explicit(&peer->active_ms, now_ms, memory_order_relaxed);
}

struct ipip_receiver *ipip_receiver_new(struct ipip *ipip)
{
	struct ipip_receiver *receiver = malloc(sizeof *receiver);

	if (!receiver)
		return NULL;
	receiver->ipip = ipip;
	receiver->call = (struct batch_call){.refusals = ipip->refusals};
	memset(receiver->headers, 0, sizeof receiver->headers);
	for (int i = 0; i < RECEIVE_BATCH; i++) {
		receiver->vectors[i] = (struct iovec){receiver->buffers[i], RECEIVE_SIZE};
		receiver->headers[i].msg_hdr.msg_iov = &receiver->vectors[i];
		receiver->headers[i].msg_hdr.msg_iovlen = 1;
	}
	return receiver;
}

void ipip_receiver_free(struct ipip_receiver *receiver)
{
	free(receiver);
}

/* Where the checksum of a TCP or UDP packet is; NULL: it has none that can be checked. */
static uint8_t *find_checksum(uint8_t *data, const struct packet *inner, uint8_t *protocol)
{
	*protocol = data[IPV4_PROTOCOL];
	if (packet_get16(data + IPV4_FRAGMENT) & IPV4_NOT_DF)
		return NULL;
	if (*protocol == PACKET_TCP && inner->length >= inner->header + PACKET_TCP_HEADER)
		return data + inner->header + TCP_CHECKSUM;
	if (*protocol == PACKET_UDP && inner->length >= inner->header + PACKET_UDP_HEADER)
		return data + inner->header + UDP_CHECKSUM;
	return NULL;
}

/*
 * A raw socket shows packets as the kernel holds them: one from this host (over a veth, say), or
 * joined by GRO, has only the pseudo-header's sum where its checksum belongs, and may be longer
 * than any MTU. Such a packet is written with a virtio_net_hdr that describes it. Returns false if
 * the packet is an ordinary one.
 */
static bool write_unfinished(
	struct tun_writer *to, size_t mtu, uint8_t *data, const struct packet *inner)
{
	struct virtio_net_hdr header = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM};
	size_t length = inner->length - inner->header, headers;
	uint8_t protocol, *field = find_checksum(data, inner, &protocol);
	uint64_t pseudo;
	uint16_t sum;

	if (!field)
		return false;
	pseudo = packet_pseudo_sum(inner, protocol, length);
	sum = checksum_fold(pseudo);
	if (memcmp(field, &sum, sizeof sum) != 0 ||
		checksum_fold(pseudo + checksum_add(0, data + inner->header, length)) == 0xffff)
		return false;
	header.csum_start = (uint16_t)inner->header;
	header.csum_offset = (uint16_t)(field - data - (ptrdiff_t)inner->header);
	if (protocol == PACKET_TCP && inner->length > mtu) {
		headers = inner->header + (size_t)(data[inner->header + TCP_DATA_OFFSET] >> 4) * 4;
		if (headers >= mtu || headers >= inner->length)
			return false;
		header.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
		header.gso_size = (uint16_t)(mtu - headers);
		header.hdr_len = (uint16_t)headers;
	}
	tun_writer_write(to, &header, data, inner->length);
	return true;
}

void ipip_decapsulate(
	struct ipip *ipip, struct tun_writer *to, uint8_t *data, size_t length, uint64_t now_ms)
{
	size_t mtu = atomic_load_explicit(ipip->mtu, memory_order_relaxed);
	struct packet outer, inner;
	struct allowedips_owner *owner;
	struct ipip_peer *peer;

	if (packet_parse(data, length, &outer) < 0 || outer.version != 4 ||
		packet_parse(data + outer.header, outer.length - outer.header, &inner) < 0 ||
		inner.version != 4) {
		count_drop(&ipip->drops->malformed);
		return;
	}
	owner = allowedips_lookup4(
		&ipip->peers, (const struct in_addr *)(const void *)outer.source);
	if (!owner) {
		count_drop(&ipip->drops->unknown_source);
		return;
	}
	peer = ipip_peer_of_outer(owner);
	if (peer->source.s_addr != INADDR_ANY &&
		memcmp(inner.source, &peer->source, sizeof peer->source) != 0) {
		count_drop(&ipip->drops->spoofed);
		return;
	}
	if (!ecn_decapsulate(data + outer.header, data[IPV4_TOS])) {
		count_drop(&ipip->drops->congested);
		return;
	}
	atomic_fetch_add_explicit(&peer->target.received, inner.length, memory_order_relaxed);
	atomic_store_explicit(&peer->active_ms, now_ms, memory_order_relaxed);
	if (!write_unfinished(to, mtu, data + outer.header, &inner))
		tun_writer_add(to, data + outer.header, inner.length);
}

bool ipip_read_error(int fd, struct in_addr *remote)
{
	struct sockaddr_in name = {0};
	struct msghdr message = {.msg_name = &name, .msg_namelen = sizeof name};

	if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
		return false;
	*remote = name.sin_addr;
	return true;
}

int ipip_receive(struct ipip_receiver *receiver, struct tun_writer *to, uint64_t now_ms)
{
	struct ipip *ipip = receiver->ipip;
	int n = batch_receive(&receiver->call, ipip->raw, receiver->headers, RECEIVE_BATCH);

	for (int i = 0; i < n; i++)
		ipip_decapsulate(
			ipip, to, receiver->buffers[i], receiver->headers[i].msg_len, now_ms);
	tun_writer_flush(to);
	return n < 0 ? 0 : n;
}
