/*
 * What the broker holds of a kernel device, and the text of the plane's last error. Runs in the
 * server's broker.
 */
#include "plane/kernel/device.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netlink/socket.h"

void kernel_device_free(struct kernel_device *device)
{
	if (!device)
		return;
	hash_for_each (&device->ipip_by_inner, node)
		free(hash_entry(node, struct kernel_ipip, by_inner));
	hash_for_each (&device->wireguard_by_key, node)
		free(hash_entry(node, struct kernel_wireguard, by_key));
	hash_free(&device->ipip_by_ifindex);
	hash_free(&device->ipip_by_inner);
	hash_free(&device->wireguard_by_key);
	netlink_close(device->pass.routes);
	free(device);
}

struct kernel_device *kernel_device_new(
	struct kernel_plane *kernel, const struct plane_endpoint *endpoint)
{
	struct kernel_device *device = calloc(1, sizeof *device);

	if (!device)
		return NULL;
	device->device.plane = &kernel->plane;
	device->endpoint = *endpoint;
	key_wipe(&device->endpoint.private_key);
	if (hash_init(&device->ipip_by_ifindex) < 0 || hash_init(&device->ipip_by_inner) < 0 ||
		hash_init(&device->wireguard_by_key) < 0) {
		kernel_device_free(device);
		return NULL;
	}
	return device;
}

int kernel_fail(struct kernel_plane *kernel, int error, const char *detail, const char *format, ...)
{
	char tried[PLANE_ERROR_SIZE / 2];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(tried, sizeof tried, format, arguments);
	va_end(arguments);
	if (detail && detail[0] != '\0')
		snprintf(kernel->plane.error, sizeof kernel->plane.error, "%s: %s (%.100s)", tried,
			strerror(-error), detail);
	else
		snprintf(kernel->plane.error, sizeof kernel->plane.error, "%s: %s", tried,
			strerror(-error));
	return error;
}
