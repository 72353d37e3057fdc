#include "device/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "device/ipip/ipip.h"
#include "device/ipip/fast_path.h"
#include "device/io/udp.h"

enum {
	PORT_TRIES = 10, /* if the port that IPv4 was given is taken in IPv6 */
	FAMILIES = 2,
};

/* New sockets on a port, not yet in use. */
struct fresh {
	unsigned int n;
	uint16_t port;
	int v4[TUN_QUEUES_MAX], v6[TUN_QUEUES_MAX]; /* -1: none */
};

static void close_fresh(struct fresh *fresh)
{
	for (unsigned int i = 0; i < fresh->n; i++) {
		if (fresh->v4[i] >= 0)
			close(fresh->v4[i]);
		if (fresh->v6[i] >= 0)
			close(fresh->v6[i]);
		fresh->v4[i] = fresh->v6[i] = -1;
	}
}

/* The first one finds out whether the port is free; only then it is shared. */
static int open_family(struct device *device, int family, uint16_t port, int *fds, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		int fd = opener_udp(&device->opener, family, port, device->mark, i > 0), error;

		if (fd < 0)
			return fd;
		fds[i] = fd;
		error = udp_share(fd);
		if (error < 0)
			return error;
		if (port == 0)
			port = (uint16_t)udp_port(fd);
	}
	return 0;
}

static int open_fresh(struct device *device, uint16_t port, struct fresh *fresh)
{
	int error = -EADDRINUSE;

	fresh->n = device->n_workers;
	for (unsigned int i = 0; i < fresh->n; i++)
		fresh->v4[i] = fresh->v6[i] = -1;
	for (int i = 0; i < PORT_TRIES && error == -EADDRINUSE; i++) {
		close_fresh(fresh);
		error = open_family(device, AF_INET, port, fresh->v4, fresh->n);
		if (error < 0)
			continue;
		fresh->port = (uint16_t)udp_port(fresh->v4[0]);
		error = open_family(device, AF_INET6, fresh->port, fresh->v6, fresh->n);
		if (error == -EAFNOSUPPORT)
			error = 0; /* a host without IPv6 */
		if (port != 0)
			break;
	}
	if (error < 0)
		close_fresh(fresh);
	return error;
}

int sockets_init(struct device *device)
{
	struct fresh fresh;
	int error;

	device->shared.udp4 = calloc(device->n_workers, sizeof(int));
	device->shared.udp6 = calloc(device->n_workers, sizeof(int));
	if (!device->shared.udp4 || !device->shared.udp6)
		return -ENOMEM;
	error = open_fresh(device, 0, &fresh);
	for (unsigned int i = 0; i < device->n_workers; i++) {
		device->shared.udp4[i] = fresh.v4[i];
		device->shared.udp6[i] = fresh.v6[i];
	}
	if (error == 0)
		device->port = fresh.port;
	return error;
}

void sockets_free(struct device *device)
{
	for (unsigned int i = 0; i < device->n_workers; i++) {
		close(device->shared.udp4[i]);
		if (device->shared.udp6[i] >= 0)
			close(device->shared.udp6[i]);
	}
	if (device->shared.raw >= 0)
		close(device->shared.raw);
	if (device->shared.raw_fragmenting >= 0)
		close(device->shared.raw_fragmenting);
	free(device->shared.udp4);
	free(device->shared.udp6);
}

int device_set_port(struct device *device, uint16_t port)
{
	struct fresh fresh;
	int error = 0;

	if (port == device->port)
		return 0;
	error = open_fresh(device, port, &fresh);
	if (error < 0)
		return error;
	for (unsigned int i = 0; i < device->n_workers; i++) {
		/* the numbers stay: workers need not be told */
		if (dup3(fresh.v4[i], device->shared.udp4[i], O_CLOEXEC) < 0)
			error = -errno;
		if (device->shared.udp6[i] >= 0 && fresh.v6[i] >= 0 &&
			dup3(fresh.v6[i], device->shared.udp6[i], O_CLOEXEC) < 0)
			error = -errno;
		if (error == 0)
			error = worker_watch_sockets(&device->workers[i]);
	}
	close_fresh(&fresh);
	device->port = fresh.port;
	return error;
}

int device_set_mark(struct device *device, uint32_t mark)
{
	int error = 0;

	for (unsigned int i = 0; i < device->n_workers && error == 0; i++) {
		error = opener_mark(&device->opener, device->shared.udp4[i], mark);
		if (error == 0 && device->shared.udp6[i] >= 0)
			error = opener_mark(&device->opener, device->shared.udp6[i], mark);
	}
	if (error == 0 && device->shared.raw >= 0)
		error = opener_mark(&device->opener, device->shared.raw, mark);
	if (error == 0 && device->shared.raw_fragmenting >= 0)
		error = opener_mark(&device->opener, device->shared.raw_fragmenting, mark);
	if (error == 0)
		device->mark = mark;
	device->short_way.stale = true; /* routing may depend on it */
	return error;
}

/* Puts a file behind a number that workers know. */
static int put_behind(_Atomic int *place, int fd)
{
	int error = 0;

	if (*place < 0) {
		*place = fd;
		return 0;
	}
	if (dup3(fd, *place, O_CLOEXEC) < 0)
		error = -errno;
	close(fd);
	return error;
}

int device_set_ipip_local(struct device *device, struct in_addr local)
{
	struct shared *shared = &device->shared;
	int raw, fragmenting, error;

	if (shared->raw >= 0 && device->ipip_local.s_addr == local.s_addr)
		return 0;
	raw = opener_raw(&device->opener, local, device->mark, false);
	if (raw < 0)
		return raw;
	fragmenting = opener_raw(&device->opener, local, device->mark, true);
	if (fragmenting < 0) {
		close(raw);
		return fragmenting;
	}
	error = put_behind(&shared->raw, raw);
	if (error == 0)
		error = put_behind(&shared->raw_fragmenting, fragmenting);
	if (error == 0)
		error = worker_watch_sockets(&device->workers[0]);
	device->ipip_local = local;
	short_way_open(device);
	return error;
}
