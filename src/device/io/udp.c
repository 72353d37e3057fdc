/*
 * The UDP sockets: opened by the privileged helper, used by workers, and by the control thread to
 * send handshake messages.
 */
#include "device/io/udp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device/io/batch_call.h"
#include "device/io/ecn.h"
#include "device/io/gso.h"

enum {
	BUFFER_SIZE = 1 << 16,
	SOCKET_BUFFER = 8 << 20, /* bytes, of which the kernel counts its own overhead */
	CONTROL_SIZE = CMSG_SPACE(sizeof(struct in6_pktinfo)) + 2 * CMSG_SPACE(sizeof(int)),
};

struct udp_batch {
	struct batch_call call;
	struct mmsghdr headers[UDP_BATCH];
	struct iovec vectors[UDP_BATCH];
	struct sockaddr_in6 names[UDP_BATCH];
	_Alignas(struct cmsghdr) uint8_t control[UDP_BATCH][CONTROL_SIZE];
	uint8_t buffers[UDP_BATCH][UDP_ROOM + BUFFER_SIZE + UDP_ROOM];
};

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof value) < 0 ? -errno : 0;
}

static int set_options(int fd, int family, uint32_t mark)
{
	int error;

	/* as large as may be: without the privilege for "force", as large as the host allows */
	if (set(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER) < 0)
		set(fd, SOL_SOCKET, SO_RCVBUF, SOCKET_BUFFER);
	if (set(fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BUFFER) < 0)
		set(fd, SOL_SOCKET, SO_SNDBUF, SOCKET_BUFFER);
	set(fd, SOL_UDP, UDP_GRO, 1); /* an old kernel has none: packets come one by one */
	if (family == AF_INET) {
		/* fragments rather than silence where the path is narrower than configured */
		error = set(fd, SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
		if (error == 0)
			error = set(fd, SOL_IP, IP_PKTINFO, 1);
		if (error == 0)
			error = set(fd, SOL_IP, IP_RECVTOS, 1);
	} else {
		error = set(fd, SOL_IPV6, IPV6_V6ONLY, 1);
		if (error == 0)
			error = set(fd, SOL_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
		if (error == 0)
			error = set(fd, SOL_IPV6, IPV6_RECVPKTINFO, 1);
		if (error == 0)
			error = set(fd, SOL_IPV6, IPV6_RECVTCLASS, 1);
	}
	if (error == 0 && mark != 0)
		error = set(fd, SOL_SOCKET, SO_MARK, (int)mark);
	return error;
}

int udp_open(int family, uint16_t port, uint32_t mark, bool shared)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address = {0};
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), error;

	if (fd < 0)
		return -errno;
	error = set_options(fd, family, mark);
	if (error == 0 && shared)
		error = udp_share(fd);
	if (family == AF_INET)
		address.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
	else
		address.v6 =
			(struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
	if (error == 0 && bind(fd, &address.any,
				  family == AF_INET ? sizeof address.v4 : sizeof address.v6) < 0)
		error = -errno;
	if (error < 0) {
		close(fd);
		return error;
	}
	return fd;
}

int udp_share(int fd)
{
	return set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
}

int udp_port(int fd)
{
	struct sockaddr_in6 address;
	socklen_t size = sizeof address;

	/* the port is at the same place in both families */
	if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		return -errno;
	return ntohs(address.sin6_port);
}

uint32_t udp_mark(int fd)
{
	uint32_t mark = 0;
	socklen_t size = sizeof mark;

	return getsockopt(fd, SOL_SOCKET, SO_MARK, &mark, &size) < 0 ? 0 : mark;
}

bool udp_joins(int fd)
{
	int value = 0;
	socklen_t size = sizeof value;

	return getsockopt(fd, SOL_UDP, UDP_GRO, &value, &size) == 0 && value != 0;
}

struct udp_batch *udp_batch_new(struct refusals *refusals)
{
	struct udp_batch *batch = malloc(sizeof *batch);

	if (!batch)
		return NULL;
	batch->call = (struct batch_call){.refusals = refusals};
	memset(batch->headers, 0, sizeof batch->headers);
	for (int i = 0; i < UDP_BATCH; i++) {
		memset(batch->buffers[i], 0, UDP_ROOM);
		batch->vectors[i] = (struct iovec){batch->buffers[i] + UDP_ROOM, BUFFER_SIZE};
		batch->headers[i].msg_hdr.msg_iov = &batch->vectors[i];
		batch->headers[i].msg_hdr.msg_iovlen = 1;
		batch->headers[i].msg_hdr.msg_name = &batch->names[i];
		batch->headers[i].msg_hdr.msg_control = batch->control[i];
	}
	return batch;
}

void udp_batch_free(struct udp_batch *batch)
{
	free(batch);
}

static void read_control(struct msghdr *header, struct udp_message *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof info);
			message->from.local4 = info.ipi_spec_dst;
			message->from.interface = (uint32_t)info.ipi_ifindex;
		} else if (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof info);
			message->from.local6 = info.ipi6_addr;
			message->from.interface = info.ipi6_ifindex;
		} else if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_TOS) {
			message->ecn = *CMSG_DATA(c) & ECN_MASK;
		} else if (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_TCLASS) {
			int class;

			memcpy(&class, CMSG_DATA(c), sizeof class);
			message->ecn = class & ECN_MASK;
		} else if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
			int step;

			memcpy(&step, CMSG_DATA(c), sizeof step);
			if (step > 0)
				message->step = (size_t)step;
		}
	}
}

int udp_receive(int fd, struct udp_batch *batch, struct udp_message messages[UDP_BATCH])
{
	int n;

	for (int i = 0; i < UDP_BATCH; i++) {
		batch->headers[i].msg_hdr.msg_namelen = sizeof batch->names[i];
		batch->headers[i].msg_hdr.msg_controllen = CONTROL_SIZE;
	}
	n = batch_receive(&batch->call, fd, batch->headers, UDP_BATCH);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		struct msghdr *header = &batch->headers[i].msg_hdr;
		struct udp_message *message = &messages[i];

		memset(&message->from, 0, sizeof message->from);
		if (header->msg_namelen <= sizeof message->from.v6)
			memcpy(&message->from.v6, header->msg_name, header->msg_namelen);
		message->data = batch->buffers[i] + UDP_ROOM;
		message->length = batch->headers[i].msg_len;
		message->step = message->length;
		message->ecn = ECN_NONE;
		read_control(header, message);
	}
	return n;
}

/* Appends a control message; there is room for all that are added. */
static void add_control(struct msghdr *header, int level, int type, const void *data, size_t size)
{
	struct cmsghdr *c =
		(struct cmsghdr *)((uint8_t *)header->msg_control + header->msg_controllen);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(c), data, size);
	header->msg_controllen += CMSG_SPACE(size);
}

static void add_source(struct msghdr *header, const struct udp_endpoint *to)
{
	struct in_pktinfo info4 = {.ipi_spec_dst = to->local4};
	struct in6_pktinfo info6 = {.ipi6_addr = to->local6};

	/* no address by itself: each interface may have it */
	if (IN6_IS_ADDR_LINKLOCAL(&to->local6))
		info6.ipi6_ifindex = to->interface;
	if (to->family == AF_INET && to->local4.s_addr != 0)
		add_control(header, SOL_IP, IP_PKTINFO, &info4, sizeof info4);
	else if (to->family == AF_INET6 && !IN6_IS_ADDR_UNSPECIFIED(&to->local6))
		add_control(header, SOL_IPV6, IPV6_PKTINFO, &info6, sizeof info6);
}

static void add_tos(struct msghdr *header, const struct udp_endpoint *to, uint8_t tos)
{
	int value = tos;

	if (tos == 0)
		return; /* as the socket has it */
	if (to->family == AF_INET)
		add_control(header, SOL_IP, IP_TOS, &value, sizeof value);
	else
		add_control(header, SOL_IPV6, IPV6_TCLASS, &value, sizeof value);
}

/* One call; with a step of 0, one packet. */
static int send_once(int fd, struct udp_endpoint *to, const struct udp_burst *burst)
{
	_Alignas(struct cmsghdr) uint8_t control[CONTROL_SIZE];
	struct iovec vector = {(void *)burst->data, burst->length};
	struct msghdr header = {.msg_name = to,
		.msg_namelen = to->family == AF_INET6 ? sizeof to->v6 : sizeof to->v4,
		.msg_iov = &vector,
		.msg_iovlen = 1,
		.msg_control = control};
	uint16_t step = (uint16_t)burst->step;

	add_source(&header, to);
	add_tos(&header, to, burst->tos);
	if (step > 0)
		add_control(&header, SOL_UDP, UDP_SEGMENT, &step, sizeof step);
	if (header.msg_controllen == 0)
		header.msg_control = NULL;
	while (sendmsg(fd, &header, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static int send_from_anywhere(int fd, struct udp_endpoint *to, const struct udp_burst *burst)
{
	int error = send_once(fd, to, burst);

	if (!burst->bound &&
		(error == -EINVAL || error == -ENETUNREACH || error == -EADDRNOTAVAIL)) {
		struct udp_endpoint elsewhere = *to;

		udp_endpoint_forget_source(&elsewhere);
		if (udp_endpoint_has_source(to) && send_once(fd, &elsewhere, burst) == 0) {
			*to = elsewhere;
			return 0;
		}
	}
	return error;
}

int udp_send(int fd, struct udp_endpoint *to, const struct udp_burst *burst, bool *plain)
{
	int result = 0, error;

	if (burst->length > burst->step && !*plain) {
		error = send_from_anywhere(fd, to, burst);
		if (error != -EIO && error != -EINVAL && error != -EMSGSIZE)
			return error;
		*plain = true;
	}
	for (size_t at = 0, n; at < burst->length; at += n) {
		struct udp_burst one = {
			.data = burst->data + at, .tos = burst->tos, .bound = burst->bound};

		n = burst->length - at < burst->step ? burst->length - at : burst->step;
		one.length = n;
		error = send_from_anywhere(fd, to, &one);
		if (error < 0)
			result = error;
	}
	return result;
}
