/* Lists the routes to single addresses. Runs in the server's broker, and in `vprox check`. */
#include "plane/kernel/host_routes.h"

#include <stdlib.h>

#include <linux/rtnetlink.h>

#include "netlink/route.h"
#include "netlink/socket.h"
#include "plane/kernel/device.h"

static int compare_numbers(uint32_t left, uint32_t right)
{
	return (left > right) - (left < right);
}

/* By interface, and of one by destination. */
static int compare(const void *a, const void *b)
{
	const struct route *left = a, *right = b;
	int result = compare_numbers(left->oif, right->oif);

	return result != 0 ? result
			   : compare_numbers(left->destination.address.value,
				     right->destination.address.value);
}

int kernel_host_routes(
	struct kernel_plane *kernel, unsigned int ifindex, struct route **routes, size_t *n)
{
	const struct route_filter filter = {.table = RT_TABLE_MAIN,
		.type = RTN_UNICAST,
		.scope_at_least = RT_SCOPE_LINK,
		.oif = ifindex,
		.length_min = 32,
		.length_max = 32};
	int error = route_dump(kernel->route, &filter, routes, n);

	if (error < 0)
		return kernel_fail(kernel, error, netlink_error(kernel->route), "list routes");
	if (*n > 0)
		qsort(*routes, *n, sizeof **routes, compare);
	return 0;
}

bool kernel_has_host_route(
	const struct route *routes, size_t n, unsigned int ifindex, struct ipv4 address)
{
	const struct route wanted = {.destination = {address, 32}, .oif = ifindex};

	return n > 0 && bsearch(&wanted, routes, n, sizeof wanted, compare);
}
