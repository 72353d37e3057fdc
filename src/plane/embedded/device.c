/*
 * What the broker holds of an embedded device, and the text of the plane's last error. Runs in the
 * server's broker.
 */
#include "plane/embedded/device.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct embedded_device *embedded_device_new(
	struct embedded_plane *embedded, const struct plane_endpoint *endpoint)
{
	struct embedded_device *device = calloc(1, sizeof *device);

	if (!device)
		return NULL;
	device->device.plane = &embedded->plane;
	device->endpoint = *endpoint;
	key_wipe(&device->endpoint.private_key);
	device->name = plane_device_name(endpoint->index);
	return device;
}

void embedded_device_free(struct embedded_device *device)
{
	if (device)
		uapi_client_close(&device->control);
	free(device);
}

int embedded_fail(struct embedded_plane *embedded, int error, const char *format, ...)
{
	char tried[PLANE_ERROR_SIZE / 2];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(tried, sizeof tried, format, arguments);
	va_end(arguments);
	snprintf(embedded->plane.error, sizeof embedded->plane.error, "%s: %s", tried,
		strerror(-error));
	return error;
}
