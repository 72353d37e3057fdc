/*
 * Opening the device of an endpoint: the process that is there is taken over, or a new one started.
 * Runs in the server's broker.
 */
#include "plane/embedded/open.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/sysctl.h"
#include "netlink/link.h"
#include "plane/embedded/device.h"
#include "plane/embedded/owner.h"
#include "plane/embedded/text.h"
#include "plane/embedded/timestamp.h"
#include "plane/interface.h"
#include "uapi_client/device_process.h"

enum { OPENING_TRIES = 4 }; /* of as long as uapi_client_ask() waits */

/*
 * No client waits for an answer yet, and on a busy machine a device may be late: to take it for one
 * that hangs would cost all of its peers. Whatever is asked here may be asked twice.
 */
static int ask(const char *name, const char *request)
{
	int error = -ETIMEDOUT;

	for (int i = 0; i < OPENING_TRIES && error == -ETIMEDOUT; i++)
		error = uapi_client_ask(name, request, NULL);
	return error;
}

static int start_device(struct embedded_device *device)
{
	struct embedded_plane *embedded = embedded_plane_of(device);
	int error = device_process_start(device->name.s, embedded->unit);

	if (error == -EIO)
		return embedded_fail(
			embedded, error, "make %s (its own log says why)", device->name.s);
	return error < 0 ? embedded_fail(embedded, error, "start a device process") : 0;
}

/* Finds the interface, or makes it if there is none, or none that matches. */
static int find_or_make(struct embedded_device *device, struct link *link, bool *made)
{
	struct embedded_plane *embedded = embedded_plane_of(device);
	int error = link_get(embedded->route, device->name.s, link);
	char reason[INTERFACE_REASON_SIZE] = "its device does not answer";
	bool match = false;

	*made = false;
	if (error == 0 && embedded_is_clients(link))
		return embedded_fail(embedded, -EEXIST,
			"make %s: a vprox client on this host has that name, give it another one "
			"with `vprox connect --interface`",
			device->name.s);
	if (error == 0 && strcmp(link->kind, "tun") != 0)
		return embedded_fail(embedded, -EEXIST, "make %s: there is another interface (%s)",
			device->name.s, link->kind);
	if (error == 0) {
		error = interface_matches(embedded->route, &device->endpoint, link, &match, reason);
		if (error < 0)
			return embedded_fail(
				embedded, error, "read the addresses of %s", link->name);
	}
	if (error == 0 && match && ask(device->name.s, "get_ipip=1\n\n") == 0)
		return 0;
	if (error == 0) {
		log_warning("removing %s and all of its peers: %s", device->name.s, reason);
		error = embedded_delete(embedded, device->name.s);
	}
	if (error < 0 && error != -ENODEV)
		return error;
	error = start_device(device);
	if (error < 0)
		return error;
	*made = true;
	error = link_get(embedded->route, device->name.s, link);
	return error < 0 ? embedded_fail(embedded, error, "find %s", device->name.s) : 0;
}

static int complete(struct embedded_device *device, const struct link *link, bool made)
{
	struct embedded_plane *embedded = embedded_plane_of(device);
	unsigned int given;
	const char *step;
	int error = interface_complete(embedded->route, &device->endpoint, link, &given, &step);

	if (!made)
		interface_report(link->name, given);
	return error < 0 ? embedded_fail(embedded, error, "set up %s: %s", link->name, step) : 0;
}

static void switch_off_ipv6(const struct link *link)
{
	int error = sysctl_disable_ipv6(link->name);

	if (error < 0)
		log_warning("%s: cannot switch off IPv6: %s", link->name, strerror(-error));
}

/* Of its peers there is nothing that others could change. */
int embedded_reconcile(struct plane_device *plane_device, unsigned int longest_ms)
{
	struct embedded_device *device = embedded_of_device(plane_device);
	struct embedded_plane *embedded = embedded_plane_of(device);
	struct link link;
	int error = link_get(embedded->route, device->name.s, &link);

	(void)longest_ms;
	if (error == 0 && !embedded_is_ours(&link))
		error = -ENODEV;
	if (error < 0)
		return embedded_fail(embedded, error, "look up %s", device->name.s);
	return complete(device, &link, false);
}

/* By the answer the device has heard that its interface is up: handshakes begin only then. */
int embedded_serve(struct plane_device *plane_device, uint64_t floor_ns)
{
	struct embedded_device *device = embedded_of_device(plane_device);
	struct embedded_plane *embedded = embedded_plane_of(device);
	char request[UAPI_CLIENT_REQUEST_SIZE];
	struct link link;
	int error = link_get(embedded->route, device->name.s, &link);

	if (error == 0 && !embedded_is_ours(&link))
		error = -ENODEV;
	if (error < 0)
		return embedded_fail(embedded, error, "look up %s", device->name.s);
	device->endpoint.is_standby = false;
	device->endpoint.floor_ns = floor_ns;
	error = complete(device, &link, true);
	if (error < 0)
		return error;
	embedded_serve_text(&device->endpoint, request);
	error = ask(device->name.s, request);
	return error < 0 ? embedded_fail(embedded, error, "set up %s", device->name.s) : 0;
}

static int set_up(struct embedded_device *device, const struct key *private_key,
	const struct link *link, bool made)
{
	struct plane_endpoint endpoint = device->endpoint;
	char request[UAPI_CLIENT_REQUEST_SIZE];
	int error;

	endpoint.private_key = *private_key;
	embedded_configure_text(&endpoint, timestamp_is_to_be_told(device->name.s), request);
	key_wipe(&endpoint.private_key);
	error = ask(device->name.s, request);
	explicit_bzero(request, sizeof request);
	if (error < 0)
		return embedded_fail(embedded_plane_of(device), error,
			"give %s its key and UDP port %u", device->name.s, endpoint.port);
	switch_off_ipv6(link);
	return complete(device, link, made);
}

int embedded_open(
	struct plane *plane, const struct plane_endpoint *endpoint, struct plane_device **opened)
{
	struct embedded_plane *embedded = embedded_of_plane(plane);
	struct embedded_device *device = embedded_device_new(embedded, endpoint);
	struct link link;
	bool made = false;
	int error;

	if (!device)
		return embedded_fail(
			embedded, -ENOMEM, "open %s", plane_device_name(endpoint->index).s);
	error = find_or_make(device, &link, &made);
	if (error == 0)
		error = set_up(device, &endpoint->private_key, &link, made);
	if (error < 0) {
		if (made)
			link_delete(embedded->route, link.ifindex);
		embedded_device_free(device);
		return error;
	}
	*opened = &device->device;
	return 0;
}

int embedded_view(struct plane *plane, const struct plane_endpoint *endpoint, unsigned int *lacks,
	struct plane_device **viewed)
{
	struct embedded_plane *embedded = embedded_of_plane(plane);
	struct embedded_device *device = embedded_device_new(embedded, endpoint);
	struct link link;
	int error = device ? link_get(embedded->route, device->name.s, &link) : -ENOMEM;

	if (error == 0 && !embedded_is_ours(&link))
		error = -ENODEV;
	if (error == 0)
		error = interface_lacks(embedded->route, endpoint, &link, lacks);
	if (error < 0) {
		embedded_device_free(device);
		return embedded_fail(
			embedded, error, "look at %s", plane_device_name(endpoint->index).s);
	}
	*viewed = &device->device;
	return 0;
}
