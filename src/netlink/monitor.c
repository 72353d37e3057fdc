/* A socket for the kernel's notices of changes. Runs in the embedded device's control thread and,
 * for link_monitor.h, in the broker. */
#include "netlink/monitor.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/netlink.h>

enum { BUFFER_SIZE = 16384 };

int netlink_monitor_open(int protocol, uint32_t groups)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = groups};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
	int error;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
		error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

int netlink_monitor_read(int fd, netlink_notice_fn *notice, void *context)
{
	_Alignas(struct nlmsghdr) char buffer[BUFFER_SIZE];
	bool overrun = false;

	for (;;) {
		struct sockaddr_nl from = {0};
		socklen_t from_size = sizeof from;
		ssize_t received = recvfrom(
			fd, buffer, sizeof buffer, 0, (struct sockaddr *)&from, &from_size);
		const struct nlmsghdr *message = (const struct nlmsghdr *)buffer;
		int left = (int)received;

		if (received < 0 && errno == EAGAIN)
			return overrun ? -ENOBUFS : 0;
		if (received < 0 && errno == ENOBUFS)
			overrun = true;
		else if (received < 0 && errno != EINTR)
			return -errno;
		if (received < 0 || from.nl_pid != 0)
			continue;
		for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
			notice(context, message);
	}
}
