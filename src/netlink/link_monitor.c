/*
 * Interfaces that have gone, by the notices that monitor.h reads. Runs in the broker: the kernel's
 * plane asks before it believes an ifindex, and the event loop waits for the next notice.
 */
#include "netlink/link_monitor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "base/cleanup.h"
#include "netlink/attribute.h"
#include "netlink/monitor.h"

enum {
	/* A notice takes 2 to 4 KiB of it: room for some 700 interfaces between two calls. */
	MONITOR_QUEUE_SIZE = 2 << 20,
};

struct link_monitor {
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
	int size = MONITOR_QUEUE_SIZE, error;

	if (!new)
		return -ENOMEM;
	new->fd = netlink_monitor_open(NETLINK_ROUTE, RTMGRP_LINK);
	error = new->fd < 0 ? new->fd : attach_filter(new->fd);
	if (error < 0) {
		link_monitor_close(new);
		return error;
	}
	/* Without the right to it the queue is shorter, and -ENOBUFS comes sooner. */
	setsockopt(new->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
	*monitor = new;
	return 0;
}

void link_monitor_close(struct link_monitor *monitor)
{
	if (!monitor)
		return;
	cleanup_close(&monitor->fd);
	free(monitor);
}

int link_monitor_fd(const struct link_monitor *monitor)
{
	return monitor->fd;
}

/* Whom to call back. */
struct gone_callback {
	link_gone_fn *gone;
	void *context;
};

static void on_notice(void *context, const struct nlmsghdr *message)
{
	const struct gone_callback *callback = context;
	const struct ifinfomsg *header = message_header(message, sizeof *header);

	/* Others can be there from before the filter. A bridge sends the same message, with its own
	 * family, about a port that left it. */
	if (!header || message->nlmsg_type != RTM_DELLINK || header->ifi_family != AF_UNSPEC ||
		header->ifi_index <= 0)
		return;
	callback->gone(callback->context, (unsigned int)header->ifi_index);
}

int link_monitor_read(struct link_monitor *monitor, link_gone_fn *gone, void *context)
{
	struct gone_callback callback = {gone, context};

	return netlink_monitor_read(monitor->fd, on_notice, &callback);
}
