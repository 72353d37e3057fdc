/*
 * Deletes links, one by one or as a group. Runs in the server's broker.
 */
#include "plane/kernel/removal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/rtnetlink.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "netlink/link.h"
#include "netlink/request.h"
#include "netlink/route.h"
#include "netlink/socket.h"
#include "plane/kernel/host_routes.h"
#include "plane/kernel/wireguard.h"

enum {
	/* Links in one group deletion when nobody is waiting: the kernel's lock is held for the
	 * whole of it, some 0.7 ms a link under emulation. */
	GROUP_SIZE = 1024,
	/* Links marked with one request. */
	MARKED_AT_ONCE = 100,
	ROUTES_AT_ONCE = 100, /* likewise */
};

static void put_group(struct netlink_request *request, unsigned int ifindex, uint32_t group)
{
	struct link_change change = {.set_group = true, .group = group};

	link_put_set(request, ifindex, &change);
}

/* errors[i]: whether the i-th is in the group now. */
static void mark(struct kernel_plane *kernel, const unsigned int *ifindexes, size_t n, int *errors)
{
	for (size_t done = 0; done < n; done += MARKED_AT_ONCE) {
		struct netlink_request request;

		netlink_request_init(&request);
		for (size_t i = done; i < n && i < done + MARKED_AT_ONCE; i++)
			put_group(&request, ifindexes[i], KERNEL_REMOVAL_GROUP);
		netlink_transact(kernel->route, &request, errors + done, NULL, NULL);
	}
}

/* Returns 0 if it is gone; else the error, whose text is kept. */
static int delete_one(struct kernel_plane *kernel, unsigned int ifindex)
{
	int error = link_delete(kernel->route, ifindex);

	if (error == 0 || error == -ENODEV)
		return 0;
	kernel_fail(
		kernel, error, netlink_error(kernel->route), "remove interface number %u", ifindex);
	/* Not to be deleted with the next group, nor to keep that from being deleted. */
	link_set(kernel->route, ifindex, &(struct link_change){.set_group = true});
	return error;
}

static void delete_group(
	struct kernel_plane *kernel, const unsigned int *ifindexes, size_t n, int *errors)
{
	int error;

	mark(kernel, ifindexes, n, errors);
	error = link_delete_group(kernel->route, KERNEL_REMOVAL_GROUP);
	/* An empty group: all were gone before they could be marked. */
	if (error == -ENODEV)
		error = 0;
	if (error < 0)
		log_warning("cannot remove %zu interfaces as a group, going one by one: %s", n,
			strerror(-error));
	for (size_t i = 0; i < n; i++) {
		if (errors[i] == -ENODEV)
			errors[i] = 0;
		else if (errors[i] < 0 || error < 0)
			errors[i] = delete_one(kernel, ifindexes[i]);
	}
}

static int compare(const void *a, const void *b)
{
	const unsigned int left = *(const unsigned int *)a, right = *(const unsigned int *)b;

	return (left > right) - (left < right);
}

static void delete_routes(struct kernel_plane *kernel, const struct route *routes, size_t n)
{
	for (size_t done = 0; done < n; done += ROUTES_AT_ONCE) {
		struct netlink_request request;

		netlink_request_init(&request);
		for (size_t i = done; i < n && i < done + ROUTES_AT_ONCE; i++)
			route_put(&request, RTM_DELROUTE, 0, &routes[i]);
		netlink_transact(kernel->route, &request, NULL, NULL, NULL);
	}
}

/*
 * For each link that still has a route the kernel walks through all routes there are (fib_flush()
 * in net/ipv4/fib_frontend.c). What cannot be removed here goes with its link.
 */
static void delete_routes_of_links(
	struct kernel_plane *kernel, const unsigned int *ifindexes, size_t n)
{
	auto_free unsigned int *sorted = calloc(n, sizeof *sorted);
	auto_free struct route *routes = NULL;
	size_t n_routes = 0, n_theirs = 0;

	if (!sorted || kernel_host_routes(kernel, 0, &routes, &n_routes) < 0)
		return;
	memcpy(sorted, ifindexes, n * sizeof *sorted);
	qsort(sorted, n, sizeof *sorted, compare);
	for (size_t i = 0; i < n_routes; i++)
		if (bsearch(&routes[i].oif, sorted, n, sizeof *sorted, compare))
			routes[n_theirs++] = routes[i];
	delete_routes(kernel, routes, n_theirs);
}

int kernel_delete_links(
	struct kernel_plane *kernel, const unsigned int *ifindexes, size_t n, int *errors)
{
	int error = 0;

	if (n >= KERNEL_ROUTES_FIRST)
		delete_routes_of_links(kernel, ifindexes, n);
	if (n == 1)
		errors[0] = delete_one(kernel, ifindexes[0]);
	for (size_t done = 0; n > 1 && done < n; done += GROUP_SIZE)
		delete_group(kernel, ifindexes + done,
			n - done < GROUP_SIZE ? n - done : GROUP_SIZE, errors + done);
	for (size_t i = 0; i < n && error == 0; i++)
		error = errors[i];
	return error;
}

/* Whether a link is ours under the index. One that only has such a name is logged. */
static bool is_ours(const struct link *link, unsigned int index)
{
	const char *kind = NULL;
	unsigned int number;
	uint32_t offset;

	if (plane_parse_device_name(link->name, &number) && number == index)
		kind = "wireguard";
	else if (plane_parse_ipip_name(link->name, &number, &offset) && number == index)
		kind = "ipip";
	if (kind && strcmp(kind, link->kind) != 0) {
		log_warning("%s: left alone: it is not of kind %s", link->name, kind);
		return false;
	}
	return kind;
}

int kernel_delete_index(
	struct kernel_plane *kernel, unsigned int index, const struct link *links, size_t n)
{
	auto_free unsigned int *ifindexes = calloc(n + 1, sizeof *ifindexes);
	auto_free int *errors = calloc(n + 1, sizeof *errors);
	unsigned int wireguard = 0;
	size_t n_ours = 0;
	int error = 0;

	if (!ifindexes || !errors)
		return kernel_fail(kernel, -ENOMEM, NULL, "remove %s", plane_device_name(index).s);
	for (size_t i = 0; i < n && error == 0; i++) {
		bool is_clients;

		if (!is_ours(&links[i], index))
			continue;
		error = kernel_is_clients(kernel, &links[i], &is_clients);
		if (error < 0 || is_clients)
			continue;
		ifindexes[n_ours++] = links[i].ifindex;
		if (strcmp(links[i].kind, "wireguard") == 0)
			wireguard = links[i].ifindex;
	}
	if (error < 0)
		return error;
	if (wireguard != 0)
		kernel_wireguard_empty(kernel, wireguard);
	return kernel_delete_links(kernel, ifindexes, n_ours, errors);
}
