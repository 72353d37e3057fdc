/*
 * The embedded data plane: its table of operations, and those of them that are one request to a
 * device. Nothing else of this folder includes it. Runs in the server's broker.
 */
#include "plane/plane.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/process.h"
#include "base/rights.h"
#include "netlink/link.h"
#include "netlink/socket.h"
#include "plane/embedded/device.h"
#include "plane/embedded/reading.h"
#include "plane/embedded/open.h"
#include "plane/embedded/owner.h"
#include "plane/embedded/text.h"
#include "plane/embedded/timestamp.h"

static int probe(struct plane *plane)
{
	auto_close int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	int error = fd < 0 ? -errno : 0;

	if (error < 0)
		snprintf(plane->error, sizeof plane->error, "open /dev/net/tun: %s%s",
			strerror(-error), rights_tun_advice(error));
	return error;
}

static int discover(struct plane *plane, plane_leftover_fn *found, void *context)
{
	struct embedded_plane *embedded = embedded_of_plane(plane);
	auto_free struct link *links = NULL;
	size_t n;
	int error = link_dump(embedded->route, "tun", &links, &n);

	if (error < 0)
		return embedded_fail(embedded, error, "list interfaces");
	for (size_t i = 0; i < n && error == 0; i++) {
		struct plane_leftover leftover = {0};

		if (!plane_parse_device_name(links[i].name, &leftover.index) ||
			embedded_is_clients(&links[i]))
			continue;
		leftover.has_bind = ipv4_parse(links[i].alias, &leftover.bind) == 0;
		error = found(context, &leftover);
	}
	return error;
}

static int remove_all(struct plane *plane, unsigned int index)
{
	return embedded_delete(embedded_of_plane(plane), plane_device_name(index).s);
}

static int add(struct plane_device *plane_device, const struct plane_peer *peer)
{
	struct embedded_device *device = embedded_of_device(plane_device);
	char request[UAPI_CLIENT_REQUEST_SIZE];
	int error;

	embedded_add_text(peer, request);
	error = uapi_client_ask_on(&device->control, device->name.s, request);
	return error == 0 ? 0
			  : embedded_fail(embedded_plane_of(device), error, "add a peer to %s",
				    device->name.s);
}

static int add_many(struct plane_device *plane_device, const struct plane_peer *peers, size_t n)
{
	struct embedded_device *device = embedded_of_device(plane_device);
	char request[UAPI_CLIENT_REQUEST_SIZE * (PLANE_ADD_BATCH + 1)];
	int error;

	if (n > PLANE_ADD_BATCH)
		return embedded_fail(
			embedded_plane_of(device), -EINVAL, "add %zu peers at once", n);
	embedded_add_many_text(peers, n, request);
	error = uapi_client_ask_on(&device->control, device->name.s, request);
	return error == 0 ? 0
			  : embedded_fail(embedded_plane_of(device), error, "add peers to %s",
				    device->name.s);
}

static int check(struct plane_device *plane_device, const struct plane_peer *peer)
{
	struct embedded_device *device = embedded_of_device(plane_device);
	char request[UAPI_CLIENT_REQUEST_SIZE];
	int error;

	embedded_check_text(peer, request);
	error = uapi_client_ask_on(&device->control, device->name.s, request);
	if (error == 0)
		return 0;
	return embedded_fail(embedded_plane_of(device), error == -ENOENT ? -ENODEV : error,
		"look for a peer of %s", device->name.s);
}

static int restore_endpoints(struct plane_device *plane_device, const struct plane_peer *peers,
	const struct plane_usage *lasts, size_t n)
{
	struct embedded_device *device = embedded_of_device(plane_device);
	char request[UAPI_CLIENT_REQUEST_SIZE * (PLANE_ADD_BATCH + 1)];
	int error;

	if (n > PLANE_ADD_BATCH)
		return embedded_fail(embedded_plane_of(device), -EINVAL,
			"restore the endpoints of %zu peers at once", n);
	embedded_restore_text(peers, lasts, n, request);
	error = uapi_client_ask_on(&device->control, device->name.s, request);
	return error == 0 ? 0
			  : embedded_fail(embedded_plane_of(device), error,
				    "restore the endpoints of peers of %s", device->name.s);
}

static int remove_peers(
	struct plane_device *plane_device, const struct plane_peer *peers, size_t n, int *errors)
{
	struct embedded_device *device = embedded_of_device(plane_device);
	char request[UAPI_CLIENT_REQUEST_SIZE * (PLANE_REMOVAL_BATCH + 1)];
	int error;

	if (n > PLANE_REMOVAL_BATCH)
		return embedded_fail(
			embedded_plane_of(device), -EINVAL, "remove %zu peers at once", n);
	embedded_remove_text(peers, n, request);
	error = uapi_client_ask_on(&device->control, device->name.s, request);
	if (error == -ENODEV)
		error = 0; /* with the device all of its peers are gone */
	for (size_t i = 0; i < n; i++)
		errors[i] = error;
	return error == 0 ? 0
			  : embedded_fail(embedded_plane_of(device), error, "remove peers of %s",
				    device->name.s);
}

static int close_device(struct plane_device *plane_device, bool keep)
{
	struct embedded_device *device = embedded_of_device(plane_device);
	int error = keep ? 0 : embedded_delete(embedded_plane_of(device), device->name.s);

	embedded_device_free(device);
	return error;
}

static const uint64_t *drops(struct plane_device *device)
{
	return embedded_of_device(device)->drops;
}

/* They are among the device's drops. */
static uint64_t spoofed(struct plane *plane)
{
	(void)plane;
	return 0;
}

static uint64_t memory(struct plane_device *plane_device)
{
	int pid = uapi_client_pid(embedded_of_device(plane_device)->name.s);

	return pid > 0 ? process_resident((pid_t)pid) : 0;
}

static void free_plane(struct plane *plane)
{
	struct embedded_plane *embedded = embedded_of_plane(plane);

	netlink_close(embedded->route);
	free(embedded);
}

static const struct plane_ops embedded_ops = {
	.name = "embedded",
	.probe = probe,
	.discover = discover,
	.remove_all = remove_all,
	.open = embedded_open,
	.view = embedded_view,
	.find = embedded_find,
	.close = close_device,
	.add = add,
	.add_many = add_many,
	.check = check,
	.remove = remove_peers,
	.read = embedded_read,
	.restore_endpoints = restore_endpoints,
	.reconcile = embedded_reconcile,
	.serve = embedded_serve,
	.timestamp = embedded_timestamp,
	.drops = drops,
	.spoofed = spoofed,
	.memory = memory,
	.free = free_plane,
};

void plane_embedded_use_unit(struct plane *plane, const char *unit)
{
	embedded_of_plane(plane)->unit = unit;
}

struct plane *plane_embedded_new(void)
{
	struct embedded_plane *embedded = calloc(1, sizeof *embedded);
	int error;

	if (!embedded)
		return NULL;
	embedded->plane.ops = &embedded_ops;
	error = netlink_open(NETLINK_ROUTE, &embedded->route);
	if (error < 0) {
		free(embedded);
		errno = -error;
		return NULL;
	}
	return &embedded->plane;
}
