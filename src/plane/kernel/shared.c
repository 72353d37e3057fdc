/*
 * Makes the interface that IPIP peers share, finds it again, and takes it away. Runs in the
 * server's broker, and in `vprox clean` and `vprox check` to look for it.
 */
#include "plane/kernel/shared.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "netlink/flower.h"
#include "netlink/link.h"
#include "netlink/request.h"
#include "netlink/route.h"
#include "netlink/socket.h"
#include "plane/kernel/ipip.h"

enum {
	IPIP_HEADER = 20, /* bytes of the outer header */
	MTU_MAX = 1500 - IPIP_HEADER, /* the kernel's own */
	ROUTES_AT_ONCE = 100, /* in one request */
	COUNTS_AT_ONCE = 100, /* likewise */
};

static const char name[] = PLANE_SHARED_IPIP_NAME;

static int fail(struct kernel_plane *kernel, int error, const char *tried)
{
	/* The endpoint's own interface is there. */
	return kernel_fail(kernel, error == -ENODEV ? -EIO : error, netlink_error(kernel->route),
		"%s %s", tried, name);
}

static bool is_ours(const struct link *link)
{
	return link->is_external && strcmp(link->kind, "ipip") == 0;
}

/* *link is zeroed if there is none of the name. */
static int look_up(struct kernel_plane *kernel, struct link *link)
{
	int error = link_get(kernel->route, name, link);

	if (error == -ENODEV)
		*link = (struct link){0};
	kernel->shared_ifindex = error == 0 && is_ours(link) ? link->ifindex : 0;
	return error == -ENODEV ? 0 : error;
}

int kernel_shared_find(struct kernel_plane *kernel)
{
	struct link link;
	int error = look_up(kernel, &link);

	return error < 0 ? fail(kernel, error, "look up") : 0;
}

/* The kernel has refused to make it. */
static int fail_on_foreign(struct kernel_plane *kernel)
{
	auto_free struct link *links = NULL;
	size_t n = 0;

	if (link_dump(kernel->route, "ipip", &links, &n) < 0)
		n = 0;
	for (size_t i = 0; i < n; i++)
		if (links[i].is_external)
			return kernel_fail(kernel, -EEXIST, NULL,
				"make %s: %s is an external ipip interface, and there can be "
				"one: use --ipip-mode=interface",
				name, links[i].name);
	return fail(kernel, -EEXIST, "make");
}

/* As the kernel has it for a tunnel whose way it knows: what leaves by the default route fits. */
static uint32_t choose_mtu(struct kernel_plane *kernel)
{
	struct route route;
	struct link link;

	if (route_default(kernel->route, &route) < 0 ||
		link_get_index(kernel->route, route.oif, &link) < 0 ||
		link.mtu >= MTU_MAX + IPIP_HEADER || link.mtu < 2 * IPIP_HEADER)
		return MTU_MAX;
	return link.mtu - IPIP_HEADER;
}

static int make_link(struct kernel_plane *kernel, struct link *link)
{
	const struct link_change sized = {.mtu = choose_mtu(kernel)};
	struct netlink_request request;
	int error;

	netlink_request_init(&request);
	link_put_new_ipip_external(&request, name);
	error = netlink_execute(kernel->route, &request);
	if (error == -EEXIST)
		return fail_on_foreign(kernel);
	if (error == 0)
		error = look_up(kernel, link);
	if (error == 0 && link->ifindex == 0)
		error = -EIO;
	if (error == 0)
		error = link_set(kernel->route, link->ifindex, &sized);
	if (error < 0)
		return fail(kernel, error, "make");
	kernel_switch_off_ipv6(kernel, name);
	return 0;
}

struct flower_place kernel_shared_place(
	const struct kernel_device *device, enum flower_direction direction)
{
	return (struct flower_place){
		.ifindex = kernel_plane_of(device)->shared_ifindex,
		.direction = direction,
		.chain = kernel_shared_chain(device->endpoint.index),
	};
}

static struct flower_endpoint describe(const struct kernel_device *device)
{
	return (struct flower_endpoint){
		.chain = kernel_shared_chain(device->endpoint.index),
		.bind = device->endpoint.bind,
		.block = device->endpoint.block,
	};
}

/* What is there already is left as it is. Returns how many were missing, or -errno. */
static int make_filters(struct kernel_device *device, unsigned int ifindex)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	const struct flower_endpoint endpoint = describe(device);
	struct netlink_request request;
	int errors[NETLINK_REQUEST_MESSAGES];
	int n_made = 0;

	netlink_request_init(&request);
	flower_put_hook(&request, ifindex);
	flower_put_drop(&request, ifindex, 0);
	flower_put_drop(&request, ifindex, endpoint.chain);
	if (!device->endpoint.is_standby) {
		flower_put_endpoint(&request, ifindex, FLOWER_RECEIVED, &endpoint);
		flower_put_endpoint(&request, ifindex, FLOWER_SENT, &endpoint);
	}
	netlink_transact(kernel->route, &request, errors, NULL, NULL);
	for (size_t i = 0; i < request.count; i++) {
		if (errors[i] < 0 && errors[i] != -EEXIST)
			return fail(kernel, errors[i], "make the filters of");
		n_made += errors[i] == 0;
	}
	return n_made;
}

int kernel_shared_ensure(struct kernel_device *device, bool is_new)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	const struct link_change up = {.up = true};
	struct link link;
	bool has_link;
	int error = look_up(kernel, &link), n_made;

	if (error < 0)
		return fail(kernel, error, "look up");
	has_link = link.ifindex != 0;
	if (has_link && !is_ours(&link))
		return kernel_fail(kernel, -EEXIST, NULL,
			"make %s: there is another interface of that name (kind %s)", name,
			link.kind[0] != '\0' ? link.kind : "unknown");
	if (!has_link)
		error = make_link(kernel, &link);
	if (error < 0)
		return error;
	n_made = make_filters(device, link.ifindex);
	if (n_made < 0)
		return n_made;
	/* Nothing comes in before there are filters. */
	if (!(link.flags & IFF_UP))
		error = link_set(kernel->route, link.ifindex, &up);
	if (error < 0)
		return fail(kernel, error, "set up");
	if (!is_new && !has_link)
		log_warning("%s: somebody has removed it, made it again", name);
	else if (!is_new && (n_made > 0 || !(link.flags & IFF_UP)))
		log_warning("%s: somebody has %s, put right: %s", name,
			n_made > 0 ? "removed its filters" : "set it down",
			plane_device_name(device->endpoint.index).s);
	return 0;
}

static int remove_routes(struct kernel_plane *kernel, const struct flower_peer *peers, size_t n)
{
	struct netlink_request request;
	int errors[NETLINK_REQUEST_MESSAGES], error = 0;

	for (size_t done = 0; done < n; done += ROUTES_AT_ONCE) {
		netlink_request_init(&request);
		for (size_t i = done; i < n && i < done + ROUTES_AT_ONCE; i++) {
			const struct route route = route_of_link(
				(struct prefix){peers[i].inner, 32}, kernel->shared_ifindex);

			route_put(&request, RTM_DELROUTE, 0, &route);
		}
		netlink_transact(kernel->route, &request, errors, NULL, NULL);
		for (size_t i = 0; i < request.count; i++)
			if (errors[i] < 0 && errors[i] != -ESRCH && errors[i] != -ENODEV)
				error = errors[i];
	}
	return error;
}

static bool is_gone(int error)
{
	return error == -ENOENT || kernel_shared_has_no_filters(error);
}

/* Those whose chains are asked about in one request. */
struct counting {
	struct kernel_device *devices[COUNTS_AT_ONCE];
	struct kernel_plane *kernel;
};

/* One that counts from 0 again was made again. */
static int keep_count(void *context, size_t number, const struct nlmsghdr *message)
{
	struct counting *counting = context;
	struct kernel_device *device = counting->devices[number];
	uint64_t n;

	if (!flower_decode_drop(message, &n))
		return 0;
	counting->kernel->n_spoofed += n < device->n_dropped ? n : n - device->n_dropped;
	device->n_dropped = n;
	return 0;
}

/* COUNTS_AT_ONCE devices at the most, from this one on. Returns the next one. */
static struct kernel_device *count_some(struct kernel_plane *kernel, struct kernel_device *device)
{
	struct counting counting = {.kernel = kernel};
	struct netlink_request request;

	netlink_request_init(&request);
	for (; device && request.count < COUNTS_AT_ONCE; device = device->next) {
		counting.devices[request.count] = device;
		flower_put_drop_get(&request, kernel->shared_ifindex,
			kernel_shared_chain(device->endpoint.index));
	}
	netlink_transact(kernel->route, &request, NULL, keep_count, &counting);
	return device;
}

uint64_t kernel_shared_count_spoofed(struct kernel_plane *kernel)
{
	struct kernel_device *next = kernel->shared_ifindex != 0 ? kernel->devices : NULL;

	while (next)
		next = count_some(kernel, next);
	return kernel->n_spoofed;
}

static int keep_beginning(void *context, size_t number, const struct nlmsghdr *message)
{
	struct kernel_device *device = context;

	(void)number;
	flower_decode_drop(message, &device->n_dropped);
	return 0;
}

void kernel_shared_begin_count(struct kernel_device *device)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	struct netlink_request request;

	netlink_request_init(&request);
	flower_put_drop_get(
		&request, kernel->shared_ifindex, kernel_shared_chain(device->endpoint.index));
	netlink_transact(kernel->route, &request, NULL, keep_beginning, device);
}

/* First what leads there: from then on nothing is sent or received. */
static int remove_chain(struct kernel_plane *kernel, uint32_t chain)
{
	const unsigned int ifindex = kernel->shared_ifindex;
	struct netlink_request request;
	int errors[NETLINK_REQUEST_MESSAGES];

	netlink_request_init(&request);
	for (enum flower_direction i = FLOWER_RECEIVED; i <= FLOWER_SENT; i++)
		flower_put_endpoint_removal(&request, ifindex, i, chain);
	for (enum flower_direction i = FLOWER_RECEIVED; i <= FLOWER_SENT; i++)
		flower_put_flush(&request, &(struct flower_place){ifindex, i, chain});
	netlink_transact(kernel->route, &request, errors, NULL, NULL);
	for (size_t i = 0; i < request.count; i++)
		if (errors[i] < 0 && !is_gone(errors[i]))
			return errors[i];
	return 0;
}

/* Whether no endpoint but this one has a chain there. */
static int is_alone(struct kernel_plane *kernel, uint32_t chain, bool *alone)
{
	auto_free uint32_t *chains = NULL;
	size_t n;
	int error = flower_dump_chains(
		kernel->route, kernel->shared_ifindex, FLOWER_RECEIVED, &chains, &n);

	*alone = true;
	for (size_t i = 0; i < n; i++)
		if (chains[i] != 0 && chains[i] != chain)
			*alone = false;
	return kernel_shared_has_no_filters(error) ? 0 : error;
}

static int delete_link(struct kernel_plane *kernel)
{
	int error = link_delete(kernel->route, kernel->shared_ifindex);

	kernel->shared_ifindex = 0;
	return error == -ENODEV ? 0 : error;
}

/* Routes and filters go with the interface, all at once; else one by one. */
static int clear_chain(struct kernel_plane *kernel, uint32_t chain)
{
	const struct flower_place sent = {kernel->shared_ifindex, FLOWER_SENT, chain};
	auto_free struct flower_peer *peers = NULL;
	size_t n;
	bool alone;
	int error = is_alone(kernel, chain, &alone);

	if (error == 0 && alone)
		return delete_link(kernel);
	if (error == 0)
		error = flower_dump_peers(kernel->route, &sent, &peers, &n);
	if (error == 0)
		error = remove_chain(kernel, chain);
	if (error == 0)
		error = remove_routes(kernel, peers, n);
	return error;
}

int kernel_shared_clear(struct kernel_plane *kernel, unsigned int index)
{
	int error = kernel_shared_find(kernel);

	if (error < 0 || kernel->shared_ifindex == 0)
		return error;
	error = clear_chain(kernel, kernel_shared_chain(index));
	return error < 0 ? fail(kernel, error, "remove the tunnels of") : 0;
}

int kernel_shared_list(struct kernel_plane *kernel, struct flower_endpoint **endpoints, size_t *n)
{
	int error = kernel_shared_find(kernel);

	*endpoints = NULL;
	*n = 0;
	if (error < 0 || kernel->shared_ifindex == 0)
		return error;
	error = flower_dump_endpoints(kernel->route, kernel->shared_ifindex, endpoints, n);
	return error < 0 && !is_gone(error) ? fail(kernel, error, "read the filters of") : 0;
}
