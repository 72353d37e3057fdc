#include "device/ipip/fast_path.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>

#include "base/log.h"
#include "device/ipip/bpf.h"
#include "device/ipip/ipip.h"
#include "device/ipip/ipip_bpf.h"

enum {
	BUFFER_SIZE = 16384,
	NS_PER_MS = 1000000,
	HOST = 32,
	ERRORS_PER_TURN = 64,
};

/* What the kernel says of the way to a peer. */
struct way {
	unsigned int interface;
	uint32_t mtu;
	bool usable;
};

int short_way_init(struct device *device)
{
	device->short_way.map_out = device->short_way.map_in = -1;
	device->short_way.netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	return device->short_way.netlink < 0 ? -errno : 0;
}

/* Sends a request for one object, and receives it. Returns its length, or -errno. */
static ssize_t ask(const struct device *device, struct nlmsghdr *message)
{
	ssize_t n;

	message->nlmsg_flags = NLM_F_REQUEST;
	if (send(device->short_way.netlink, message, message->nlmsg_len, 0) < 0)
		return -errno;
	n = recv(device->short_way.netlink, message, BUFFER_SIZE, 0);
	if (n < 0)
		return -errno;
	if (!mnl_nlmsg_ok(message, (int)n))
		return -EPROTO;
	if (message->nlmsg_type == NLMSG_ERROR)
		return ((const struct nlmsgerr *)mnl_nlmsg_get_payload(message))->error;
	return n;
}

static uint32_t number(const struct rtattr *attr)
{
	uint32_t value = 0;

	if (RTA_PAYLOAD(attr) >= sizeof value)
		memcpy(&value, RTA_DATA(attr), sizeof value);
	return value;
}

static void read_metrics(const struct rtattr *metrics, struct way *way)
{
	int left = (int)RTA_PAYLOAD(metrics);

	for (const struct rtattr *a = RTA_DATA(metrics); RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == RTAX_MTU && number(a) < way->mtu)
			way->mtu = number(a);
}

static void find_route(const struct device *device, struct in_addr remote, struct way *way)
{
	_Alignas(struct nlmsghdr) char buffer[BUFFER_SIZE];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct rtmsg *route;
	int left;

	message->nlmsg_type = RTM_GETROUTE;
	route = mnl_nlmsg_put_extra_header(message, sizeof *route);
	route->rtm_family = AF_INET;
	route->rtm_dst_len = HOST;
	route->rtm_src_len = HOST;
	mnl_attr_put_u32(message, RTA_DST, remote.s_addr);
	mnl_attr_put_u32(message, RTA_SRC, device->ipip_local.s_addr);
	if (device->mark)
		mnl_attr_put_u32(message, RTA_MARK, device->mark);
	if (ask(device, message) < 0 || message->nlmsg_type != RTM_NEWROUTE)
		return;
	route = mnl_nlmsg_get_payload(message);
	way->usable = route->rtm_type == RTN_UNICAST;
	way->mtu = UINT32_MAX;
	left = (int)RTM_PAYLOAD(message);
	for (const struct rtattr *a = RTM_RTA(route); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		switch (a->rta_type) {
		case RTA_OIF:
			way->interface = number(a);
			break;
		case RTA_METRICS:
			read_metrics(a, way);
			break;
		case RTA_VIA: /* a next hop of another family */
		case RTA_ENCAP:
			way->usable = false;
			break;
		}
	}
}

/* An Ethernet device, and its MTU. */
static void check_interface(const struct device *device, struct way *way)
{
	_Alignas(struct nlmsghdr) char buffer[BUFFER_SIZE];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *link;
	int left;

	message->nlmsg_type = RTM_GETLINK;
	link = mnl_nlmsg_put_extra_header(message, sizeof *link);
	link->ifi_index = (int)way->interface;
	if (ask(device, message) < 0 || message->nlmsg_type != RTM_NEWLINK) {
		way->usable = false;
		return;
	}
	link = mnl_nlmsg_get_payload(message);
	way->usable = link->ifi_type == ARPHRD_ETHER && link->ifi_flags & IFF_UP;
	left = (int)IFLA_PAYLOAD(message);
	for (const struct rtattr *a = IFLA_RTA(link); RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == IFLA_MTU && number(a) < way->mtu)
			way->mtu = number(a);
}

/* Whether packets that arrive on the interface are looked at. */
static bool receives_from(struct device *device, unsigned int interface)
{
	struct short_way *way = &device->short_way;

	for (unsigned int i = 0; i < way->n_uplinks; i++)
		if (way->uplinks[i] == interface)
			return true;
	if (way->n_uplinks == SHORT_WAY_UPLINKS ||
		opener_short_way_from(&device->opener, interface) < 0)
		return false;
	way->uplinks[way->n_uplinks++] = interface;
	return true;
}

void short_way_add(struct device *device, const struct ipip_target *target)
{
	struct ipip_way_out out = {.remote = target->remote};
	struct ipip_way_in in = {.inner = target->source};
	struct way way = {0};

	/* the programs look for one address */
	if (device->short_way.map_out < 0 || target->source.s_addr == INADDR_ANY)
		return;
	find_route(device, target->remote, &way);
	if (way.usable)
		check_interface(device, &way);
	/* the counters of an entry that is there go on */
	bpf_map_get(device->short_way.map_in, &target->remote, &in);
	bpf_map_get(device->short_way.map_out, &target->source, &out);
	in.inner = target->source;
	out.remote = target->remote;
	out.interface = way.interface;
	/* a packet that is longer than the path's MTU takes the long way: with 0, all do */
	out.mtu = way.usable && receives_from(device, way.interface) ? way.mtu : 0;
	if (bpf_map_set(device->short_way.map_in, &target->remote, &in) < 0 ||
		bpf_map_set(device->short_way.map_out, &target->source, &out) < 0)
		short_way_remove(device, target);
}

void short_way_remove(struct device *device, const struct ipip_target *target)
{
	if (device->short_way.map_out < 0)
		return;
	bpf_map_delete(device->short_way.map_out, &target->source);
	bpf_map_delete(device->short_way.map_in, &target->remote);
}

void short_way_refresh(struct device *device)
{
	if (device->short_way.map_out < 0)
		return;
	for (struct target *t = device->first; t; t = t->next)
		if (t->kind == TARGET_IPIP)
			short_way_add(device, target_ipip(t));
}

void short_way_read_errors(struct device *device)
{
	struct in_addr remote;

	/* Anybody may say such things: no more at a time than can be looked at. */
	for (int i = 0; i < ERRORS_PER_TURN; i++) {
		struct ipip_target *target;

		if (!ipip_read_error(device->shared.raw_fragmenting, &remote))
			return;
		target = device_find_ipip(device, remote);
		if (target)
			short_way_add(device, target);
	}
	atomic_store(&device->shared.raw_errors, true);
}

void short_way_open(struct device *device)
{
	struct short_way *way = &device->short_way;
	int error;

	short_way_close(device);
	if (way->unwanted || device->interface == 0)
		return; /* the TUN has gone to another namespace, where routing is another */
	error = opener_short_way(&device->opener, device->ipip_local, device->interface);
	if (error == 0) {
		way->map_out = opener_map_out(&device->opener);
		way->map_in = opener_map_in(&device->opener);
		if (way->map_out < 0 || way->map_in < 0)
			error = -EMFILE;
	}
	if (error < 0) {
		log_info("%s: IPIP goes packet by packet: the kernel refuses its BPF programs: %s",
			device->shared.tun.name, strerror(-error));
		short_way_close(device);
		return;
	}
	short_way_refresh(device);
}

void short_way_close(struct device *device)
{
	struct short_way *way = &device->short_way;

	if (way->map_out >= 0)
		close(way->map_out);
	if (way->map_in >= 0)
		close(way->map_in);
	way->map_out = way->map_in = -1;
	way->n_uplinks = 0;
	opener_no_short_way(&device->opener);
}

void short_way_free(struct device *device)
{
	short_way_close(device);
	close(device->short_way.netlink);
}

struct ipip_usage short_way_usage(const struct device *device, const struct ipip_target *target)
{
	struct ipip_usage usage = {
		.sent = atomic_load(&target->target.sent),
		.received = atomic_load(&target->target.received),
		.active_ms = atomic_load(&target->active_ms),
	};
	struct ipip_way_out out;
	struct ipip_way_in in;

	if (device->short_way.map_out < 0)
		return usage;
	if (bpf_map_get(device->short_way.map_out, &target->source, &out) == 0) {
		usage.sent += out.bytes;
		if (out.active_ns / NS_PER_MS > usage.active_ms)
			usage.active_ms = out.active_ns / NS_PER_MS;
	}
	if (bpf_map_get(device->short_way.map_in, &target->remote, &in) == 0) {
		usage.received += in.bytes;
		if (in.active_ns / NS_PER_MS > usage.active_ms)
			usage.active_ms = in.active_ns / NS_PER_MS;
	}
	return usage;
}
