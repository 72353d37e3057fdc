/*
 * Puts right what others have changed: the device's interface, and the links and routes of IPIP
 * peers. Runs in the server's broker, every few seconds.
 */
#include "plane/kernel/reconcile.h"

#include <errno.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "base/clock.h"
#include "base/log.h"
#include "netlink/link.h"
#include "netlink/request.h"
#include "netlink/route.h"
#include "netlink/socket.h"
#include "plane/interface.h"
#include "plane/kernel/ipip.h"
#include "plane/kernel/ipip_table.h"
#include "plane/kernel/removal.h"
#include "plane/kernel/shared.h"
#include "plane/kernel/shared_peers.h"

enum {
	MENDED_AT_ONCE = 50, /* links in one request, of two messages each */
	BUCKETS_AT_ONCE = 512, /* of the table, to look for them: microseconds */
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

/* Links that are mended in one request. */
struct mending {
	struct kernel_device *device;
	struct netlink_request request;
	const struct kernel_ipip *ipips[MENDED_AT_ONCE];
	size_t n;
	struct plane_peer lost[MENDED_AT_ONCE]; /* of the interface that they share */
	size_t n_lost;
};

static struct plane_name name_of(struct kernel_device *device, const struct kernel_ipip *ipip)
{
	return ipip->ifindex != 0 ? kernel_ipip_name(device, ipip->inner)
				  : (struct plane_name){PLANE_SHARED_IPIP_NAME};
}

static void record_mended(struct kernel_device *device, const struct kernel_ipip *ipip)
{
	if (device->pass.n_mended++ == 0)
		device->pass.first = name_of(device, ipip);
}

static void record_failure(struct kernel_device *device, const struct kernel_ipip *ipip, int error)
{
	struct kernel_plane *kernel = kernel_plane_of(device);

	if (device->pass.error == 0)
		device->pass.error = kernel_fail(kernel, error, netlink_error(kernel->route),
			"bring up %s with a route to %s", name_of(device, ipip).s,
			ipv4_text(ipip->inner).s);
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
			record_mended(mending->device, mending->ipips[i]);
		else if (error != -ENODEV)
			record_failure(mending->device, mending->ipips[i], error);
	}
	mending->n = 0;
	netlink_request_init(&mending->request);
}

/* Returns whether a request is sent. */
static bool put_mended(struct mending *mending, const struct kernel_ipip *ipip)
{
	const struct kernel_plane *kernel = kernel_plane_of(mending->device);

	kernel_ipip_put_mended(&mending->request,
		ipip->ifindex != 0 ? ipip->ifindex : kernel->shared_ifindex, ipip->inner, false);
	mending->ipips[mending->n++] = ipip;
	if (mending->n < MENDED_AT_ONCE)
		return false;
	mend(mending);
	return true;
}

static const struct route_filter of_peers = {.table = RT_TABLE_MAIN,
	.type = RTN_UNICAST,
	.protocol = RTPROT_BOOT,
	.scope_at_least = RT_SCOPE_LINK,
	.length_min = 32,
	.length_max = 32};

static int begin_routes(struct kernel_device *device)
{
	struct kernel_pass *pass = &device->pass;
	int error = netlink_open(NETLINK_ROUTE, &pass->routes);

	if (error == 0)
		error = route_dump_begin(pass->routes, &of_peers);
	return error < 0 ? kernel_fail(kernel_plane_of(device), error, NULL, "list routes") : 0;
}

static int mark_routed(void *context, size_t number, const struct nlmsghdr *message)
{
	struct kernel_device *device = context;
	struct kernel_ipip *ipip;
	struct route route;
	int result = route_decode(message, &of_peers, &route);

	(void)number;
	if (result <= 0)
		return result;
	if (route.oif == kernel_plane_of(device)->shared_ifindex)
		ipip = kernel_ipip_of_inner(device, route.destination.address);
	else
		ipip = kernel_ipip_of_ifindex(device, route.oif);
	if (ipip && ipv4_equal(ipip->inner, route.destination.address))
		ipip->routed = device->n_passes;
	return 0;
}

/* Marks the links that have their route: one that was set down has lost it, so this tells of both.
 * Where routes come and go meanwhile, no other one is left out: the kernel goes on behind the last
 * destination (net/ipv4/fib_trie.c, fib_table_dump()). */
static int read_routes(struct kernel_device *device)
{
	struct kernel_pass *pass = &device->pass;
	int result = netlink_dump_next(pass->routes, mark_routed, device);

	if (result > 0)
		return 0;
	if (result < 0)
		kernel_fail(kernel_plane_of(device), result, netlink_error(pass->routes),
			"list routes");
	netlink_close(pass->routes);
	pass->routes = NULL;
	return result;
}

/* Those of which a filter was missing when they were read last. */
static void make_lost(struct mending *mending)
{
	struct kernel_device *device = mending->device;
	int error = kernel_shared_add(device, mending->lost, mending->n_lost);

	if (error < 0 && device->pass.error == 0)
		device->pass.error = error;
	if (error == 0)
		device->pass.n_mended += mending->n_lost;
	mending->n_lost = 0;
}

/* Returns whether a request is sent. */
static bool put_lost(struct mending *mending, const struct kernel_ipip *ipip)
{
	mending->lost[mending->n_lost++] = (struct plane_peer){
		.kind = PEER_IPIP, .inner = ipip->inner, .remote = ipip->remote};
	if (mending->n_lost < MENDED_AT_ONCE)
		return false;
	make_lost(mending);
	return true;
}

static bool mend_one(struct mending *mending, const struct kernel_ipip *ipip)
{
	const struct kernel_device *device = mending->device;

	if (ipip->ifindex == 0 && ipip->met < device->n_read)
		return put_lost(mending, ipip);
	return ipip->routed != device->n_passes && put_mended(mending, ipip);
}

/* Of the next links those without their route. */
static void mend_some(struct kernel_device *device)
{
	struct mending mending = {.device = device};
	struct kernel_pass *pass = &device->pass;
	unsigned int n_buckets = 0;
	bool is_sent = false;

	netlink_request_init(&mending.request);
	while (!pass->walk.is_over && n_buckets++ < BUCKETS_AT_ONCE && !is_sent)
		for (struct hash_node *node = hash_walk_next(&device->ipip_by_inner, &pass->walk);
			node; node = node->next) {
			const struct kernel_ipip *ipip =
				hash_entry(node, struct kernel_ipip, by_inner);

			if (mend_one(&mending, ipip))
				is_sent = true;
		}
	if (mending.n_lost > 0)
		make_lost(&mending);
	if (mending.n > 0)
		mend(&mending);
}

static void end_pass(struct kernel_device *device)
{
	netlink_close(device->pass.routes);
	device->pass = (struct kernel_pass){0};
}

static void log_mended(const struct kernel_device *device)
{
	const struct kernel_pass *pass = &device->pass;

	if (kernel_plane_of(device)->shares_ipip)
		log_warning("%s: somebody has removed routes or filters of IPIP peers, put right: "
			    "%zu of %s",
			PLANE_SHARED_IPIP_NAME, pass->n_mended,
			plane_device_name(device->endpoint.index).s);
	else
		log_warning("%s%s: somebody has set down the interface or removed its route, put "
			    "right: %zu IPIP peers",
			pass->first.s, pass->n_mended > 1 ? " and others" : "", pass->n_mended);
}

static int finish(struct kernel_device *device, bool is_new)
{
	const struct kernel_pass *pass = &device->pass;
	int error = pass->error;

	if (pass->n_mended > 0 && !is_new)
		log_mended(device);
	end_pass(device);
	return error;
}

/* is_new: that it lacks something is worth no line in the log. */
static int begin(struct kernel_device *device, bool is_new)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	const struct plane_name name = plane_device_name(device->endpoint.index);
	struct link link;
	int error = kernel_forget_gone_links(kernel);

	if (error < 0)
		return error;
	error = link_get(kernel->route, name.s, &link);
	if (error == 0 && link.ifindex != device->ifindex)
		error = -ENODEV;
	if (error < 0)
		return kernel_fail(
			kernel, error, netlink_error(kernel->route), "look up %s", name.s);
	device->n_passes++;
	device->pass = (struct kernel_pass){
		.runs = true, .walk.is_over = device->ipip_by_inner.count == 0};
	/* What cannot be done for one is no reason to leave the others as they are. */
	device->pass.error = kernel_configure_link(device, &link, is_new);
	if (kernel->shares_ipip && device->pass.error == 0)
		device->pass.error = kernel_shared_ensure(device, is_new);
	return device->pass.walk.is_over ? 0 : begin_routes(device);
}

/* Returns 1 if there is more to do. */
static int go_on(struct kernel_device *device, bool is_new)
{
	struct kernel_pass *pass = &device->pass;
	int error = 0;

	if (!pass->runs)
		error = begin(device, is_new);
	else if (pass->routes)
		error = read_routes(device);
	else
		mend_some(device);
	if (error < 0)
		end_pass(device);
	else if (!pass->routes && pass->walk.is_over)
		error = finish(device, is_new);
	else
		error = 1;
	return error;
}

int kernel_reconcile(struct plane_device *device, unsigned int longest_ms)
{
	const uint64_t began_ms = clock_now_ms(&system_clock);
	int result;

	do
		result = go_on(kernel_of_device(device), false);
	while (result > 0 && clock_now_ms(&system_clock) - began_ms < longest_ms);
	return result;
}

/* The kernel begins handshakes by its clock alone. */
int kernel_serve(struct plane_device *device, uint64_t floor_ns)
{
	struct kernel_device *kernel = kernel_of_device(device);
	int result;

	(void)floor_ns;
	kernel->endpoint.is_standby = false;
	end_pass(kernel);
	do
		result = go_on(kernel, true);
	while (result > 0);
	return result;
}
