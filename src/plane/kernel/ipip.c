/*
 * The links vp<i>-<n> of IPIP peers and their routes. Runs in the server's broker.
 */
#include "plane/kernel/ipip.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/sysctl.h"
#include "netlink/link.h"
#include "netlink/request.h"
#include "netlink/route.h"
#include "netlink/socket.h"
#include "plane/kernel/ipip_table.h"
#include "plane/kernel/removal.h"

void kernel_switch_off_ipv6(struct kernel_plane *kernel, const char *name)
{
	int error = sysctl_disable_ipv6(name);

	if (error == 0 || kernel->ipv6_stays)
		return;
	kernel->ipv6_stays = true;
	log_warning("%s: cannot switch off IPv6 on it, nor on others, which makes new tunnels "
		    "slow: %s",
		name, strerror(-error));
}

/* The kernel has refused to make the link: names what is in the way. Returns -EEXIST. */
static int fail_on_foreign(struct kernel_device *device, const char *name, struct ipv4 remote,
	const struct link *in_the_way)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	struct ipv4 local = device->endpoint.bind;
	auto_free struct link *links = NULL;
	size_t n = 0;

	if (in_the_way->ifindex != 0)
		return kernel_fail(kernel, -EEXIST, NULL,
			"make %s: an interface of that name (kind %s) is not this peer's", name,
			in_the_way->kind[0] != '\0' ? in_the_way->kind : "unknown");
	if (link_dump(kernel->route, "ipip", &links, &n) < 0)
		n = 0;
	for (size_t i = 0; i < n; i++)
		if (ipv4_equal(links[i].local, local) && ipv4_equal(links[i].remote, remote))
			return kernel_fail(kernel, -EEXIST, NULL,
				"make %s: %s is there, from %s to %s, too", name, links[i].name,
				ipv4_text(local).s, ipv4_text(remote).s);
	return kernel_fail(kernel, -EEXIST, NULL, "make %s", name);
}

/* Makes the link, or finds the one that is there: both in one round trip. */
static int make_or_find(struct kernel_device *device, struct ipv4 inner, struct ipv4 remote,
	struct link *link, bool *made)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	struct plane_name name = kernel_ipip_name(device, inner);
	struct netlink_request request;
	enum {
		NEW,
		GET,
		N_MESSAGES,
	};
	int errors[N_MESSAGES];

	*link = (struct link){0};
	netlink_request_init(&request);
	link_put_new_ipip(&request, name.s, device->endpoint.bind, remote);
	link_put_get(&request, name.s);
	netlink_transact(kernel->route, &request, errors, link_read_reply, link);
	*made = errors[NEW] == 0;
	if (*made && link->ifindex == 0) {
		/* Made, but not answered: for the caller to remove. */
		link->ifindex = if_nametoindex(name.s);
		return kernel_fail(
			kernel, errors[GET] < 0 ? errors[GET] : -EIO, NULL, "find %s", name.s);
	}
	if (errors[NEW] == -EEXIST && kernel_ipip_matches(device, link, inner, remote))
		return 0;
	if (errors[NEW] == -EEXIST)
		return fail_on_foreign(device, name.s, remote, link);
	if (errors[NEW] < 0)
		return kernel_fail(kernel, errors[NEW], netlink_error(kernel->route),
			"make %s from %s to %s", name.s, ipv4_text(device->endpoint.bind).s,
			ipv4_text(remote).s);
	return 0;
}

void kernel_ipip_put_mended(
	struct netlink_request *request, unsigned int ifindex, struct ipv4 inner, bool of_group)
{
	const struct link_change change = {.up = true, .set_group = of_group};
	const struct route route = route_of_link((struct prefix){inner, 32}, ifindex);

	link_put_set(request, ifindex, &change);
	/* A link that was down has lost its route. */
	route_put(request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &route);
}

/* That of a standby stays down, and without a route. */
static int bring_up(struct kernel_device *device, const struct link *link, struct ipv4 inner)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	struct netlink_request request;
	int error;

	if (device->endpoint.is_standby)
		return 0;
	netlink_request_init(&request);
	kernel_ipip_put_mended(&request, link->ifindex, inner, link->group == KERNEL_REMOVAL_GROUP);
	error = netlink_execute(kernel->route, &request);
	if (error < 0)
		kernel_fail(kernel, error, netlink_error(kernel->route),
			"bring up %s with a route to %s", kernel_ipip_name(device, inner).s,
			ipv4_text(inner).s);
	return error;
}

int kernel_ipip_add(struct kernel_device *device, struct ipv4 inner, struct ipv4 remote)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	struct plane_name name = kernel_ipip_name(device, inner);
	struct link link;
	bool made;
	int error = make_or_find(device, inner, remote, &link, &made);

	if (error < 0)
		goto out;
	kernel_switch_off_ipv6(kernel, name.s);
	error = bring_up(device, &link, inner);
	if (error < 0)
		goto out;
	error = kernel_ipip_remember(device, link.ifindex, inner, remote);
	if (error < 0)
		kernel_fail(kernel, error, NULL, "make %s", name.s);
out:
	if (error < 0 && made && link.ifindex != 0)
		link_delete(kernel->route, link.ifindex);
	return error;
}

int kernel_ipip_check(struct kernel_device *device, struct ipv4 inner, struct ipv4 remote)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	struct plane_name name = kernel_ipip_name(device, inner);
	const struct kernel_ipip *ipip;
	struct link link;
	int error = kernel_forget_gone_links(kernel);

	if (error < 0)
		return error;
	error = link_get(kernel->route, name.s, &link);
	if (error < 0)
		return kernel_fail(
			kernel, error, netlink_error(kernel->route), "look up %s", name.s);
	ipip = kernel_ipip_of_inner(device, inner);
	if (!ipip || ipip->ifindex != link.ifindex || !ipv4_equal(ipip->remote, remote))
		return kernel_fail(kernel, -ENODEV, NULL,
			"look up %s: the interface of that name is another one", name.s);
	return 0;
}

/* The ifindex of a peer's link; 0 if there is none. */
static int find_link(
	struct kernel_device *device, const struct plane_peer *peer, unsigned int *ifindex)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	const struct kernel_ipip *ipip = kernel_ipip_of_inner(device, peer->inner);
	struct plane_name name = kernel_ipip_name(device, peer->inner);
	struct link link;
	int error;

	*ifindex = ipip && ipv4_equal(ipip->remote, peer->remote) ? ipip->ifindex : 0;
	if (*ifindex != 0)
		return 0;
	/* Made again by somebody else, it is the peer's all the same. */
	error = link_get(kernel->route, name.s, &link);
	if (error == -ENODEV)
		return 0;
	if (error < 0)
		return kernel_fail(
			kernel, error, netlink_error(kernel->route), "look up %s", name.s);
	if (kernel_ipip_matches(device, &link, peer->inner, peer->remote))
		*ifindex = link.ifindex;
	return 0;
}

void kernel_ipip_remove(
	struct kernel_device *device, const struct plane_peer *peers, size_t n, int *errors)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	unsigned int ifindexes[PLANE_REMOVAL_BATCH] = {0};
	size_t peer_of[PLANE_REMOVAL_BATCH], n_links = 0;
	int link_errors[PLANE_REMOVAL_BATCH];
	int error = 0;
	bool gone_known = false;

	for (size_t i = 0; i < n; i++) {
		if (peers[i].kind != PEER_IPIP)
			continue;
		if (!gone_known)
			error = kernel_forget_gone_links(kernel);
		gone_known = true;
		errors[i] = error < 0 ? error : find_link(device, &peers[i], &ifindexes[n_links]);
		if (errors[i] == 0 && ifindexes[n_links] != 0)
			peer_of[n_links++] = i;
	}
	kernel_delete_links(kernel, ifindexes, n_links, link_errors);
	for (size_t i = 0; i < n_links; i++) {
		struct kernel_ipip *ipip = kernel_ipip_of_ifindex(device, ifindexes[i]);

		errors[peer_of[i]] = link_errors[i];
		if (link_errors[i] == 0 && ipip)
			kernel_ipip_forget(device, ipip);
	}
}
