/* The kernel's notices of links, addresses and routes, and the TUN's MTU. Runs in the control
 * thread. */
#include "device/links.h"

#include <errno.h>
#include <string.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "base/clock.h"
#include "base/log.h"
#include "device/control.h"
#include "device/io/packet.h"
#include "device/io/udp.h"
#include "netlink/attribute.h"
#include "netlink/link.h"
#include "netlink/monitor.h"

enum {
	/* TCP's super-packets are whole segments of the MTU's; the kernel keeps this for its own
	 * headers when it fills one. */
	GSO_RESERVE = 320,
	TCP_OPTIONS = 12,
	/* Workers look a route up again for each peer that they send to: where routes come and go
	 * all the time, no oftener than this. */
	TELL_INTERVAL_MS = 100,
	IPV6_RULES = 1 << (RTNLGRP_IPV6_RULE - 1), /* has no name of the older kind */
};

int links_open_adopted(struct device *device, unsigned int interface)
{
	int fd = netlink_monitor_open(NETLINK_ROUTE,
		RTMGRP_LINK | RTMGRP_IPV4_ROUTE | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_RULE |
			RTMGRP_IPV6_ROUTE | RTMGRP_IPV6_IFADDR | IPV6_RULES);

	if (fd < 0)
		return fd;
	device->links = fd;
	device->interface = interface;
	return 0;
}

int links_open(struct device *device)
{
	return links_open_adopted(device, if_nametoindex(device->shared.tun.name));
}

int links_find(struct device *device, const char *name, uint32_t *ifindex)
{
	struct link link;
	int error = device->fast_path.netlink ? link_get(device->fast_path.netlink, name, &link)
					      : -ENODEV;

	if (error == 0)
		*ifindex = link.ifindex;
	return error;
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
	return privileged_helper_set_gso_size(
		&device->helper, device->interface, longest_super_packet(mtu));
}

/* A longer super-packet than the MTU's takes more than one send, and no more. */
void links_be_told_mtu(struct device *device, uint32_t mtu)
{
	if (device->interface == 0)
		atomic_store(&device->shared.mtu, mtu);
}

/* Moved to another namespace, where it cannot be seen; or deleted, as the TUN will say. */
static void own_link_gone(struct device *device)
{
	device->interface = 0;
	fast_path_close(&device->fast_path);
	control_set_up(&device->shared.wireguard, true);
}

static void own_link_changed(struct device *device, const struct link *link)
{
	int error;

	control_set_up(&device->shared.wireguard, (link->flags & IFF_UP) != 0);
	error = link->mtu != 0 ? links_set_mtu(device, link->mtu) : 0;
	if (error < 0)
		log_warning("%s: cannot set the length of super-packets: %s",
			device->shared.tun.name, strerror(-error));
}

static void routes_changed(struct device *device)
{
	device->schedule.stale = true;
	device->route_changes.untold = true;
}

static void read_notice(void *context, const struct nlmsghdr *message)
{
	struct device *device = context;
	const struct ifinfomsg *header = message_header(message, sizeof *header);
	struct link link;

	routes_changed(device);
	if (message->nlmsg_type != RTM_NEWLINK && message->nlmsg_type != RTM_DELLINK)
		return;
	if (!header || header->ifi_index != (int)device->interface)
		return;
	if (message->nlmsg_type == RTM_DELLINK)
		own_link_gone(device);
	else if (link_decode(message, NULL, &link) == 1)
		own_link_changed(device, &link);
}

void links_refresh(struct device *device)
{
	struct link link;

	if (device->interface != 0 &&
		link_get_index(device->fast_path.netlink, device->interface, &link) == 0)
		own_link_changed(device, &link);
	routes_changed(device);
}

void links_read(struct device *device)
{
	/* what was lost may have been about our own */
	if (netlink_monitor_read(device->links, read_notice, device) == -ENOBUFS)
		links_refresh(device);
}

uint64_t links_deadline(const struct device *device)
{
	const struct route_changes *changes = &device->route_changes;

	return changes->untold ? changes->told_ms + TELL_INTERVAL_MS : UINT64_MAX;
}

void links_run(struct device *device)
{
	struct route_changes *changes = &device->route_changes;
	uint64_t now = clock_now_ms(&boot_clock);

	if (now < links_deadline(device))
		return;
	changes->untold = false;
	changes->told_ms = now;
	atomic_fetch_add_explicit(&device->shared.routes, 1, memory_order_relaxed);
}
