#include "device/links.h"

#include <errno.h>
#include <string.h>

#include <linux/rtnetlink.h>

#include "base/log.h"
#include "device/io/packet.h"
#include "device/ipip/fast_path.h"
#include "device/io/udp.h"

enum {
	/* TCP's super-packets are whole segments of the MTU's; the kernel keeps this for its own
	 * headers when it fills one. */
	GSO_RESERVE = 320,
	TCP_OPTIONS = 12,
};

int links_open(struct device *device)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_ROUTE | RTMGRP_IPV4_IFADDR};

	device->interface = if_nametoindex(device->shared.tun.name);
	device->links = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (device->links < 0 ||
		bind(device->links, (struct sockaddr *)&address, sizeof address) < 0)
		return -errno;
	return 0;
}

/* The longest super-packet of which all segments, sealed, fit into one send. */
static unsigned int longest_super_packet(unsigned int mtu)
{
	unsigned int sealed = (unsigned int)messages_padded(mtu, mtu) +
			      (unsigned int)sizeof(struct message_transport) + AEAD_TAG_SIZE;
	unsigned int headers = PACKET_IPV4_HEADER + PACKET_TCP_HEADER + TCP_OPTIONS;

	unsigned int longest = UDP_SEND_MAX / sealed * (mtu - headers) + GSO_RESERVE + headers;

	return longest < TUN_GSO_MAX ? longest : TUN_GSO_MAX;
}

int links_set_mtu(struct device *device, uint32_t mtu)
{
	if (atomic_exchange(&device->shared.mtu, mtu) == mtu)
		return 0;
	return opener_gso_size(&device->opener, device->interface, longest_super_packet(mtu));
}

static void read_link(struct device *device, const struct nlmsghdr *message)
{
	const struct ifinfomsg *link = NLMSG_DATA(message);
	int left = (int)message->nlmsg_len - (int)NLMSG_LENGTH(sizeof *link), error;

	if (left < 0 || link->ifi_index != (int)device->interface)
		return;
	if (message->nlmsg_type == RTM_DELLINK) {
		/* moved to another namespace, where it cannot be seen; or deleted, as the TUN will
		 * say */
		device->interface = 0;
		short_way_close(device);
		control_set_up(&device->shared.control, true);
		return;
	}
	control_set_up(&device->shared.control, (link->ifi_flags & IFF_UP) != 0);
	for (const struct rtattr *a = IFLA_RTA(link); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		uint32_t mtu;

		if (a->rta_type != IFLA_MTU || RTA_PAYLOAD(a) != sizeof mtu)
			continue;
		memcpy(&mtu, RTA_DATA(a), sizeof mtu);
		error = links_set_mtu(device, mtu);
		if (error < 0)
			log_warning("%s: cannot set the length of super-packets: %s",
				device->shared.tun.name, strerror(-error));
	}
}

void links_read(struct device *device)
{
	enum { BUFFER_SIZE = 16384 };
	_Alignas(struct nlmsghdr) char buffer[BUFFER_SIZE];
	ssize_t n;

	while ((n = recv(device->links, buffer, sizeof buffer, 0)) > 0) {
		size_t left = (size_t)n;

		for (struct nlmsghdr *m = (struct nlmsghdr *)buffer; NLMSG_OK(m, left);
			m = NLMSG_NEXT(m, left))
			if (m->nlmsg_type == RTM_NEWLINK || m->nlmsg_type == RTM_DELLINK)
				read_link(device, m);
		device->short_way.stale = true;
	}
}
