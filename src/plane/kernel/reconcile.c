/*
 * Puts right what others have changed: the device's interface, and the links and routes of IPIP
 * peers. Runs in the server's broker, every few seconds.
 */
#include "plane/kernel/reconcile.h"

#include <errno.h>
#include <string.h>

#include <linux/rtnetlink.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "netlink/link.h"
#include "netlink/request.h"
#include "netlink/route.h"
#include "netlink/socket.h"
#include "plane/interface.h"
#include "plane/kernel/ipip.h"
#include "plane/kernel/ipip_table.h"
#include "plane/kernel/removal.h"

enum {
	MENDED_AT_ONCE = 50, /* links in one request, of two messages each */
};

int kernel_configure_link(struct kernel_device *device, const struct link *link, bool is_new)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	struct link_change unmarked = {.set_group = true};
	const struct plane_name name = plane_device_name(device->endpoint.index);
	const char *step = "take it out of the group of links to be removed";
	unsigned int given = 0;
	int error = 0;

	if (link->group == KERNEL_REMOVAL_GROUP)
		error = link_set(kernel->route, link->ifindex, &unmarked);
	if (error == 0)
		error = interface_complete(kernel->route, &device->endpoint, link, &given, &step);
	if (!is_new)
		interface_report(name.s, given);
	if (error < 0)
		return kernel_fail(kernel, error, netlink_error(kernel->route),
			"set up %s, UDP port %u: %s", name.s, device->endpoint.port, step);
	return 0;
}

/* Links that are being mended, a request at a time. */
struct mending {
	struct kernel_device *device;
	struct netlink_request request;
	const struct kernel_ipip *ipips[MENDED_AT_ONCE];
	size_t n; /* in the request */
	size_t n_mended;
	struct plane_name first; /* of them */
	int error; /* the first */
};

static void record_mended(struct mending *mending, const struct kernel_ipip *ipip)
{
	if (mending->n_mended++ == 0)
		mending->first = kernel_ipip_name(mending->device, ipip->inner);
}

static void mend(struct mending *mending)
{
	struct kernel_plane *kernel = kernel_plane_of(mending->device);
	int errors[2 * MENDED_AT_ONCE];

	netlink_transact(kernel->route, &mending->request, errors, NULL, NULL);
	for (size_t i = 0; i < mending->n; i++) {
		int error = errors[2 * i] < 0 ? errors[2 * i] : errors[2 * i + 1];

		/* Gone meanwhile: that is noticed elsewhere. */
		if (error == 0)
			record_mended(mending, mending->ipips[i]);
		else if (error != -ENODEV && mending->error == 0)
			mending->error = kernel_fail(kernel, error, netlink_error(kernel->route),
				"bring up %s with a route to %s",
				kernel_ipip_name(mending->device, mending->ipips[i]->inner).s,
				ipv4_text(mending->ipips[i]->inner).s);
	}
	mending->n = 0;
	netlink_request_init(&mending->request);
}

/* Marks the links that have their route: one that was set down has lost it, so this tells of both.
 */
static int mark_routed(struct kernel_device *device)
{
	static const struct route_filter filter = {.table = RT_TABLE_MAIN,
		.type = RTN_UNICAST,
		.protocol = RTPROT_BOOT,
		.scope_at_least = RT_SCOPE_LINK,
		.length_min = 32,
		.length_max = 32};
	struct kernel_plane *kernel = kernel_plane_of(device);
	auto_free struct route *routes = NULL;
	size_t n;
	int error = route_dump(kernel->route, &filter, &routes, &n);

	if (error < 0)
		return kernel_fail(kernel, error, netlink_error(kernel->route), "list routes");
	hash_for_each (&device->ipip_by_ifindex, node)
		hash_entry(node, struct kernel_ipip, by_ifindex)->seen = false;
	for (size_t i = 0; i < n; i++) {
		struct kernel_ipip *ipip = kernel_ipip_of_ifindex(device, routes[i].oif);

		if (ipip && ipv4_equal(ipip->inner, routes[i].destination.address))
			ipip->seen = true;
	}
	return 0;
}

static int reconcile_ipip(struct kernel_device *device, bool is_new)
{
	struct mending mending = {.device = device};
	int error;

	if (device->ipip_by_ifindex.count == 0)
		return 0;
	error = mark_routed(device);
	if (error < 0)
		return error;
	netlink_request_init(&mending.request);
	hash_for_each (&device->ipip_by_ifindex, node) {
		const struct kernel_ipip *ipip = hash_entry(node, struct kernel_ipip, by_ifindex);

		if (ipip->seen)
			continue;
		kernel_ipip_put_mended(&mending.request, ipip->ifindex, ipip->inner, false);
		mending.ipips[mending.n++] = ipip;
		if (mending.n == MENDED_AT_ONCE)
			mend(&mending);
	}
	if (mending.n > 0)
		mend(&mending);
	if (mending.n_mended > 0 && !is_new)
		log_warning("%s%s: somebody has set down the interface or removed its route, put "
			    "right: %zu IPIP peers",
			mending.first.s, mending.n_mended > 1 ? " and others" : "",
			mending.n_mended);
	return mending.error;
}

/* is_new: that it lacks something is worth no line in the log. */
static int reconcile(struct kernel_device *device, bool is_new)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	const struct plane_name name = plane_device_name(device->endpoint.index);
	struct link link;
	int error = kernel_forget_gone_links(kernel), ipip_error;

	if (error < 0)
		return error;
	error = link_get(kernel->route, name.s, &link);
	if (error == 0 && link.ifindex != device->ifindex)
		error = -ENODEV;
	if (error < 0)
		return kernel_fail(
			kernel, error, netlink_error(kernel->route), "look up %s", name.s);
	/* What cannot be done for one is no reason to leave the others as they are. */
	error = kernel_configure_link(device, &link, is_new);
	ipip_error = reconcile_ipip(device, is_new);
	return ipip_error < 0 ? ipip_error : error;
}

int kernel_reconcile(struct plane_device *device)
{
	return reconcile(kernel_of_device(device), false);
}

/* The kernel begins handshakes by its clock alone. */
int kernel_serve(struct plane_device *device, uint64_t floor_ns)
{
	(void)floor_ns;
	kernel_of_device(device)->endpoint.is_standby = false;
	return reconcile(kernel_of_device(device), true);
}
