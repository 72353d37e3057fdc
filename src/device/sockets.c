/*
 * Opening sockets through the privileged helper, and replacing what is behind the numbers that
 * workers use. Runs in the control thread.
 */
#include "device/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "device/fast_path_control.h"
#include "device/io/udp.h"
#include "device/ipip/ipip.h"

enum { PORT_TRIES = 10 }; /* if the port that IPv4 was given is taken in IPv6 */

/* New sockets on a port, not yet in use. */
struct new_sockets {
	unsigned int n;
	uint16_t port;
	int v4[TUN_QUEUES_MAX], v6[TUN_QUEUES_MAX]; /* -1: none */
};

static void close_new(struct new_sockets *new)
{
	for (unsigned int i = 0; i < new->n; i++) {
		if (new->v4[i] >= 0)
			close(new->v4[i]);
		if (new->v6[i] >= 0)
			close(new->v6[i]);
		new->v4[i] = new->v6[i] = -1;
	}
}

/* The first one finds out whether the port is free; only then it is shared. */
static int open_family(struct device *device, int family, uint16_t port, int *fds, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		int fd = privileged_helper_open_udp(
			    &device->helper, family, port, device->mark, i > 0),
		    error;

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

static int open_new(struct device *device, uint16_t port, struct new_sockets *new)
{
	int error = -EADDRINUSE;

	new->n = device->n_workers;
	for (unsigned int i = 0; i < new->n; i++)
		new->v4[i] = new->v6[i] = -1;
	for (int i = 0; i < PORT_TRIES && error == -EADDRINUSE; i++) {
		close_new(new);
		error = open_family(device, AF_INET, port, new->v4, new->n);
		if (error < 0)
			continue;
		new->port = (uint16_t)udp_port(new->v4[0]);
		error = open_family(device, AF_INET6, new->port, new->v6, new->n);
		if (error == -EAFNOSUPPORT)
			error = 0; /* a host without IPv6 */
		if (port != 0)
			break;
	}
	if (error < 0)
		close_new(new);
	return error;
}

int sockets_adopt(struct device *device, const int *udp4, const int *udp6)
{
	device->shared.udp4 = calloc(device->n_workers, sizeof(int));
	device->shared.udp6 = calloc(device->n_workers, sizeof(int));
	if (!device->shared.udp4 || !device->shared.udp6)
		return -ENOMEM;
	for (unsigned int i = 0; i < device->n_workers; i++) {
		device->shared.udp4[i] = udp4[i];
		device->shared.udp6[i] = udp6[i];
	}
	return 0;
}

int sockets_init(struct device *device)
{
	struct new_sockets new;
	int error = open_new(device, 0, &new);

	if (error < 0)
		return error;
	device->port = new.port;
	return sockets_adopt(device, new.v4, new.v6);
}

void sockets_free(struct device *device)
{
	for (unsigned int i = 0; i < device->n_workers; i++) {
		close(device->shared.udp4[i]);
		if (device->shared.udp6[i] >= 0)
			close(device->shared.udp6[i]);
	}
	if (device->shared.ipip.raw >= 0)
		close(device->shared.ipip.raw);
	if (device->shared.ipip.fragmenting >= 0)
		close(device->shared.ipip.fragmenting);
	free(device->shared.udp4);
	free(device->shared.udp6);
}

/* What was found out about the way to peers held for sockets as they were. */
static void forget_sources(struct device *device)
{
	for (struct target *t = device->first; t; t = t->next)
		if (t->kind == TARGET_WIREGUARD)
			peer_address_forget_source(&wg_peer_of(t)->address);
}

int device_set_port(struct device *device, uint16_t port)
{
	struct new_sockets new;
	int error = 0;

	if (port == device->port)
		return 0;
	error = open_new(device, port, &new);
	if (error < 0)
		return error;
	for (unsigned int i = 0; i < device->n_workers; i++) {
		/* the numbers stay: workers need not be told */
		if (dup3(new.v4[i], device->shared.udp4[i], O_CLOEXEC) < 0)
			error = -errno;
		if (device->shared.udp6[i] >= 0 && new.v6[i] >= 0 &&
			dup3(new.v6[i], device->shared.udp6[i], O_CLOEXEC) < 0)
			error = -errno;
		if (error == 0)
			error = worker_watch_sockets(&device->workers[i]);
	}
	close_new(&new);
	device->port = new.port;
	forget_sources(device);
	return error;
}

int device_set_mark(struct device *device, uint32_t mark)
{
	int error = 0;

	for (unsigned int i = 0; i < device->n_workers && error == 0; i++) {
		error = privileged_helper_set_mark(&device->helper, device->shared.udp4[i], mark);
		if (error == 0 && device->shared.udp6[i] >= 0)
			error = privileged_helper_set_mark(
				&device->helper, device->shared.udp6[i], mark);
	}
	if (error == 0 && device->shared.ipip.raw >= 0)
		error = privileged_helper_set_mark(&device->helper, device->shared.ipip.raw, mark);
	if (error == 0 && device->shared.ipip.fragmenting >= 0)
		error = privileged_helper_set_mark(
			&device->helper, device->shared.ipip.fragmenting, mark);
	if (error == 0)
		device->mark = mark;
	/* routing may depend on it */
	forget_sources(device);
	device->fast_path.mark = device->mark;
	device->schedule.stale = true;
	return error;
}

/* Replaces the file behind a number that workers know, or gives it its first. */
static int replace_file(_Atomic int *place, int fd)
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
	struct ipip *ipip = &device->shared.ipip;
	int raw, fragmenting, error;

	if (ipip->raw >= 0 && device->ipip_local.s_addr == local.s_addr)
		return 0;
	raw = privileged_helper_open_ipip(&device->helper, local, device->mark, false);
	if (raw < 0)
		return raw;
	fragmenting = privileged_helper_open_ipip(&device->helper, local, device->mark, true);
	if (fragmenting < 0) {
		close(raw);
		return fragmenting;
	}
	error = replace_file(&ipip->raw, raw);
	if (error == 0)
		error = replace_file(&ipip->fragmenting, fragmenting);
	else
		close(fragmenting);
	if (error == 0)
		error = worker_watch_sockets(&device->workers[0]);
	device->ipip_local = local;
	atomic_store_explicit(&device->shared.source, local.s_addr, memory_order_relaxed);
	fast_path_control_open(device);
	return error;
}
