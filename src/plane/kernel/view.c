/*
 * Finds the device of an endpoint, and changes nothing of it. Runs in `vprox check`.
 */
#include "plane/kernel/view.h"

#include <errno.h>
#include <string.h>

#include "netlink/link.h"
#include "netlink/socket.h"
#include "plane/interface.h"
#include "plane/kernel/device.h"
#include "plane/kernel/wireguard.h"

static int find_link(
	struct kernel_plane *kernel, const struct plane_endpoint *endpoint, struct link *link)
{
	int error = link_get(kernel->route, plane_device_name(endpoint->index).s, link);
	bool is_clients = false;

	if (error == 0)
		error = kernel_is_clients(kernel, link, &is_clients);
	if (error == 0 && (is_clients || strcmp(link->kind, "wireguard") != 0))
		error = -ENODEV;
	return error;
}

int kernel_view(struct plane *plane, const struct plane_endpoint *endpoint, unsigned int *lacks,
	struct plane_device **viewed)
{
	struct kernel_plane *kernel = kernel_of_plane(plane);
	struct kernel_device *device = NULL;
	struct link link;
	int error = kernel_find_wireguard(kernel);

	if (error == 0)
		error = find_link(kernel, endpoint, &link);
	if (error == 0)
		error = interface_lacks(kernel->route, endpoint, &link, lacks);
	if (error == 0 && !(device = kernel_device_new(kernel, endpoint)))
		error = -ENOMEM;
	if (error < 0)
		return kernel_fail(kernel, error, netlink_error(kernel->route), "look at %s",
			plane_device_name(endpoint->index).s);
	device->ifindex = link.ifindex;
	*viewed = &device->device;
	return 0;
}
