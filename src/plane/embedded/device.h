/*
 * The embedded data plane, inside: a device process for each endpoint, which goes on when this one
 * ends, asked over its control socket. For the files of this folder only.
 */
#pragma once

#include "base/device_drops.h"
#include "plane/plane.h"
#include "uapi_client/ask.h"

struct netlink;

struct embedded_plane {
	struct plane plane; /* first */
	struct netlink *route;
	const char *unit; /* systemd's, that devices are started as; NULL: as children */
};

struct embedded_device {
	struct plane_device device; /* first */
	struct plane_endpoint endpoint; /* without the private key */
	struct plane_name name;
	struct uapi_client_connection control; /* for what is a question about some peers */
	uint64_t drops[DEVICE_N_DROPS]; /* as last read */
};

static inline struct embedded_plane *embedded_of_plane(struct plane *plane)
{
	return (struct embedded_plane *)plane;
}

static inline struct embedded_device *embedded_of_device(struct plane_device *device)
{
	return (struct embedded_device *)device;
}

static inline struct embedded_plane *embedded_plane_of(const struct embedded_device *device)
{
	return embedded_of_plane(device->device.plane);
}

/* What the broker has of a device; the process and its interface are not touched. NULL: no memory.
 */
struct embedded_device *embedded_device_new(
	struct embedded_plane *embedded, const struct plane_endpoint *endpoint);
void embedded_device_free(struct embedded_device *device);

/* Writes plane_error(), "<what was tried>: <the errno's text>", and returns the error. */
__attribute__((format(printf, 3, 4))) int embedded_fail(
	struct embedded_plane *embedded, int error, const char *format, ...);
