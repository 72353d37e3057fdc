#include "device/ipip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/packet.h"
#include "device/segment.h"
#include "device/target.h"

enum {
	SEND_BATCH = 64,
	SEND_BUFFER = 2 * 65536,
	RECEIVE_BATCH = 64,
	RECEIVE_SIZE = 65536, /* of one packet; pages that are not written to are not there */
	SOCKET_BUFFER = 8 << 20,
};

struct ipip_sender {
	struct shared *shared;
	unsigned int n;
	size_t used;
	struct mmsghdr headers[SEND_BATCH];
	struct iovec vectors[SEND_BATCH];
	struct sockaddr_in names[SEND_BATCH];
	uint8_t buffer[SEND_BUFFER];
};

struct ipip_receiver {
	struct mmsghdr headers[RECEIVE_BATCH];
	struct iovec vectors[RECEIVE_BATCH];
	uint8_t buffers[RECEIVE_BATCH][RECEIVE_SIZE];
};

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof value) < 0 ? -errno : 0;
}

int ipip_open(struct in_addr local, uint32_t mark)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = local};
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_IPIP), error = 0;

	if (fd < 0)
		return -errno;
	if (set(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER) < 0)
		set(fd, SOL_SOCKET, SO_RCVBUF, SOCKET_BUFFER);
	if (set(fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BUFFER) < 0)
		set(fd, SOL_SOCKET, SO_SNDBUF, SOCKET_BUFFER);
	error = set(fd, SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
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

struct ipip_sender *ipip_sender_new(struct shared *shared)
{
	struct ipip_sender *sender = malloc(sizeof *sender);

	if (!sender)
		return NULL;
	sender->shared = shared;
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

void ipip_flush(struct ipip_sender *sender)
{
	unsigned int done = 0;

	while (done < sender->n) {
		int n = sendmmsg(sender->shared->raw, sender->headers + done, sender->n - done,
			MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			count(&sender->shared->drops.unsent);
			n = 1;
		}
		done += (unsigned int)n;
	}
	sender->n = 0;
	sender->used = 0;
}

void ipip_send(struct ipip_sender *sender, struct ipip_target *target,
	const struct virtio_net_hdr *header, uint8_t *packet, size_t length, uint64_t now_ms)
{
	struct segmenter segmenter;
	struct segment segment;

	if (packet[0] >> 4 != 4 || segmenter_begin(&segmenter, header, packet, length) < 0) {
		count(&sender->shared->drops.malformed);
		return;
	}
	while (segmenter_next(&segmenter, &segment)) {
		if (sender->n == SEND_BATCH || sender->used + segment.length > SEND_BUFFER)
			ipip_flush(sender);
		memcpy(sender->buffer + sender->used, segment.data, segment.length);
		sender->vectors[sender->n] =
			(struct iovec){sender->buffer + sender->used, segment.length};
		sender->names[sender->n] =
			(struct sockaddr_in){.sin_family = AF_INET, .sin_addr = target->remote};
		sender->used += segment.length;
		sender->n++;
	}
	atomic_fetch_add_explicit(&target->target.sent, length, memory_order_relaxed);
	atomic_store_explicit(&target->active_ms, now_ms, memory_order_relaxed);
}

struct ipip_receiver *ipip_receiver_new(void)
{
	struct ipip_receiver *receiver = malloc(sizeof *receiver);

	if (!receiver)
		return NULL;
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

/* One outer packet, as a raw socket gives it: with its header, reassembled. */
static void take(struct receiver *to, uint8_t *data, size_t length, uint64_t now_ms)
{
	struct drops *drops = &to->shared->drops;
	struct packet outer, inner;
	struct allowedips_owner *owner;
	struct ipip_target *target;

	if (packet_parse(data, length, &outer) < 0 || outer.version != 4 ||
		packet_parse(data + outer.header, outer.length - outer.header, &inner) < 0 ||
		inner.version != 4) {
		count(&drops->malformed);
		return;
	}
	owner = allowedips_lookup4(
		&to->shared->outer, (const struct in_addr *)(const void *)outer.source);
	if (!owner) {
		count(&drops->stranger);
		return;
	}
	target =
		(struct ipip_target *)(void *)((char *)owner - offsetof(struct ipip_target, outer));
	if (memcmp(inner.source, &target->source, sizeof target->source) != 0) {
		count(&drops->spoofed);
		return;
	}
	atomic_fetch_add_explicit(&target->target.received, inner.length, memory_order_relaxed);
	atomic_store_explicit(&target->active_ms, now_ms, memory_order_relaxed);
	receive_packet(to, data + outer.header, inner.length);
}

int ipip_receive(struct ipip_receiver *receiver, struct receiver *to, uint64_t now_ms)
{
	int n = recvmmsg(to->shared->raw, receiver->headers, RECEIVE_BATCH, MSG_DONTWAIT, NULL);

	for (int i = 0; i < n; i++)
		take(to, receiver->buffers[i], receiver->headers[i].msg_len, now_ms);
	receive_flush(to);
	return n < 0 ? 0 : n;
}
