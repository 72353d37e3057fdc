#include "plane/embedded/device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "plane/embedded/text.h"

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

static int probe(struct plane *plane)
{
	auto_close int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	return fd < 0 ? embedded_fail(embedded_of_plane(plane), -errno, "open /dev/net/tun") : 0;
}

static int survey(struct plane *plane, plane_trace_fn *found, void *context)
{
	struct embedded_plane *embedded = embedded_of_plane(plane);
	auto_free struct link *links = NULL;
	size_t n;
	int error = link_dump(embedded->route, "tun", &links, &n);

	if (error < 0)
		return embedded_fail(embedded, error, "list interfaces");
	for (size_t i = 0; i < n && error == 0; i++) {
		struct plane_trace trace = {0};

		if (!plane_parse_device_name(links[i].name, &trace.index) ||
			embedded_is_clients(&links[i]))
			continue;
		trace.has_bind = ipv4_parse(links[i].alias, &trace.bind) == 0;
		error = found(context, &trace);
	}
	return error;
}

int embedded_delete(struct embedded_plane *embedded, const char *name)
{
	struct link link;
	int error = link_get(embedded->route, name, &link);

	if (error == 0 && (strcmp(link.kind, "tun") != 0 || embedded_is_clients(&link)))
		return 0; /* not ours */
	if (error == 0)
		error = link_delete(embedded->route, link.ifindex);
	if (error == 0 || error == -ENODEV)
		return 0;
	return embedded_fail(embedded, error, "remove %s", name);
}

static int discard(struct plane *plane, unsigned int index)
{
	return embedded_delete(embedded_of_plane(plane), plane_device_name(index).s);
}

static int add(struct plane_device *plane_device, const struct plane_peer *peer)
{
	struct embedded_device *device = embedded_of_device(plane_device);
	char request[EMBEDDED_REQUEST_SIZE];
	int error;

	embedded_add_text(peer, request);
	error = embedded_ask(device->name.s, request, NULL);
	return error == 0 ? 0
			  : embedded_fail(embedded_plane_of(device), error, "add a peer to %s",
				    device->name.s);
}

static int check(struct plane_device *plane_device, const struct plane_peer *peer)
{
	struct embedded_device *device = embedded_of_device(plane_device);
	char request[EMBEDDED_REQUEST_SIZE];
	int error;

	embedded_check_text(peer, request);
	error = embedded_ask(device->name.s, request, NULL);
	if (error == 0)
		return 0;
	return embedded_fail(embedded_plane_of(device), error == -ENOENT ? -ENODEV : error,
		"look for a peer of %s", device->name.s);
}

static int seek(struct plane_device *plane_device, const struct plane_peer *peer,
	const struct plane_usage *last)
{
	struct embedded_device *device = embedded_of_device(plane_device);
	char request[EMBEDDED_REQUEST_SIZE];
	int error;

	if (peer->kind != PEER_WIREGUARD || last->outer_port == 0)
		return 0;
	embedded_seek_text(peer, last, request);
	error = embedded_ask(device->name.s, request, NULL);
	return error == 0 ? 0
			  : embedded_fail(embedded_plane_of(device), error, "seek a peer of %s",
				    device->name.s);
}

static int remove_peers(
	struct plane_device *plane_device, const struct plane_peer *peers, size_t n, int *errors)
{
	struct embedded_device *device = embedded_of_device(plane_device);
	char request[EMBEDDED_REQUEST_SIZE * (PLANE_REMOVAL_BATCH + 1)];
	int error;

	if (n > PLANE_REMOVAL_BATCH)
		return embedded_fail(
			embedded_plane_of(device), -EINVAL, "remove %zu peers at once", n);
	embedded_remove_text(peers, n, request);
	error = embedded_ask(device->name.s, request, NULL);
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

	free(device);
	return error;
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
	.survey = survey,
	.discard = discard,
	.open = embedded_open,
	.close = close_device,
	.add = add,
	.check = check,
	.remove = remove_peers,
	.dump = embedded_dump,
	.seek = seek,
	.tend = embedded_tend,
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
