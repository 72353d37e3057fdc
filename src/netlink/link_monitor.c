#include "netlink/link_monitor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

enum {
	/* A notice takes 2 to 4 KiB of it: room for some 700 interfaces between two looks. */
	MONITOR_QUEUE_SIZE = 2 << 20,
	/* A notice's start is all that is read; the rest may be cut. */
	MONITOR_BUFFER_SIZE = 256,
};

struct link_monitor {
	struct mnl_socket *socket;
	int fd;
};

/* Lets only RTM_DELLINK into the queue: creations and state changes are many. */
static int attach_filter(int fd)
{
	/* The filter machine reads numbers in network byte order; netlink has the host's. */
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELLINK), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0)
		return -errno;
	return 0;
}

int link_monitor_open(struct link_monitor **monitor)
{
	struct link_monitor *new = calloc(1, sizeof *new);
	int size = MONITOR_QUEUE_SIZE, error = 0;

	if (!new)
		return -ENOMEM;
	new->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!new->socket) {
		error = -errno;
		goto out;
	}
	new->fd = mnl_socket_get_fd(new->socket);
	error = attach_filter(new->fd);
	if (error < 0)
		goto out;
	/* Without the right to it the queue is shorter, and -ENOBUFS comes sooner. */
	setsockopt(new->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
	if (mnl_socket_bind(new->socket, RTMGRP_LINK, MNL_SOCKET_AUTOPID) < 0)
		error = -errno;
out:
	if (error < 0) {
		link_monitor_close(new);
		return error;
	}
	*monitor = new;
	return 0;
}

void link_monitor_close(struct link_monitor *monitor)
{
	if (!monitor)
		return;
	if (monitor->socket)
		mnl_socket_close(monitor->socket);
	free(monitor);
}

int link_monitor_fd(const struct link_monitor *monitor)
{
	return monitor->fd;
}

/* The interface that a notice says is gone; 0: none. */
static unsigned int gone_link(const void *buffer, size_t received)
{
	const struct nlmsghdr *message = buffer;
	const struct ifinfomsg *header = (const struct ifinfomsg *)(message + 1);

	if (received < sizeof *message + sizeof *header || message->nlmsg_type != RTM_DELLINK)
		return 0;
	/* A bridge tells of a port that left it in the same words, with its own family. */
	if (header->ifi_family != AF_UNSPEC || header->ifi_index <= 0)
		return 0;
	return (unsigned int)header->ifi_index;
}

int link_monitor_read(struct link_monitor *monitor, link_gone_fn *gone, void *context)
{
	_Alignas(struct nlmsghdr) uint8_t buffer[MONITOR_BUFFER_SIZE];
	bool overrun = false;

	for (;;) {
		struct sockaddr_nl from = {0};
		socklen_t from_size = sizeof from;
		ssize_t received = recvfrom(monitor->fd, buffer, sizeof buffer, 0,
			(struct sockaddr *)&from, &from_size);
		unsigned int ifindex;

		if (received < 0 && errno == EAGAIN)
			return overrun ? -ENOBUFS : 0;
		if (received < 0 && errno == ENOBUFS)
			overrun = true;
		else if (received < 0 && errno != EINTR)
			return -errno;
		if (received < 0 || from.nl_pid != 0)
			continue;
		ifindex = gone_link(buffer, (size_t)received);
		if (ifindex != 0)
			gone(context, ifindex);
	}
}
