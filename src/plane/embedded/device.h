/*
 * The embedded data plane, inside: a device process for each endpoint, which goes on when this one
 * ends, asked over its control socket. Included by embedded*.c only.
 */
#pragma once

#include "netlink/link.h"
#include "netlink/socket.h"
#include "uapi_client/device_process.h"
#include "plane/plane.h"

struct embedded_plane {
	struct plane plane;
	struct netlink *route;
	const char *unit; /* systemd's, that devices are started as; NULL: as children */
};

/* What plane.h hands out: the start of an embedded_device. */
struct plane_device {
	struct plane *plane;
};

struct embedded_device {
	struct plane_device device;
	struct plane_endpoint endpoint; /* without the private key */
	struct plane_name name;
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

/* Writes plane_error() and returns the error. */
__attribute__((format(printf, 3, 4))) int embedded_fail(
	struct embedded_plane *embedded, int error, const char *format, ...);

/* plane_ops.open, .tend and .dump */
int embedded_open(
	struct plane *plane, const struct plane_endpoint *endpoint, struct plane_device **device);
int embedded_tend(struct plane_device *device);
int embedded_dump(struct plane_device *device, plane_peer_fn *found, void *context);

/* Whether the link is a client's (client_link.h): by its alias, or without one by its key. */
bool embedded_is_clients(const struct link *link);

/* Deletes the interface, with which the device ends. 0 also if there is none. */
int embedded_delete(struct embedded_plane *embedded, const char *name);
