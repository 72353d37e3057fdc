#include "fake_plane.h"

#include <errno.h>

struct plane_device {
	struct fake_plane *fake;
};

static struct plane_device the_device;

static size_t find(const struct fake_plane *fake, struct ipv4 inner)
{
	size_t i = 0;

	while (i < fake->n_peers && !ipv4_equal(fake->peers[i].inner, inner))
		i++;
	return i;
}

static int open_device(
	struct plane *plane, const struct plane_endpoint *endpoint, struct plane_device **device)
{
	(void)endpoint;
	the_device.fake = (struct fake_plane *)plane;
	if (the_device.fake->open_error)
		return the_device.fake->open_error;
	the_device.fake->device_is_lost = the_device.fake->n_going > 0;
	if (the_device.fake->n_going > 0)
		the_device.fake->n_going--;
	*device = &the_device;
	return 0;
}

static int close_device(struct plane_device *device, bool keep)
{
	if (!keep)
		device->fake->n_peers = 0;
	return 0;
}

static int add(struct plane_device *device, const struct plane_peer *peer)
{
	struct fake_plane *fake = device->fake;
	size_t i = find(fake, peer->inner);

	if (fake->device_is_lost)
		return -ENODEV;
	fake->n_adds++;
	if (fake->add_error)
		return fake->add_error;
	if (i == fake->n_peers) {
		fake->usage[i] = (struct plane_usage){0};
		fake->peers[fake->n_peers++] = *peer;
	}
	return 0;
}

static int check(struct plane_device *device, const struct plane_peer *peer)
{
	if (device->fake->check_error)
		return device->fake->check_error;
	return find(device->fake, peer->inner) < device->fake->n_peers ? 0 : -ENODEV;
}

void fake_plane_lose(struct fake_plane *fake, struct ipv4 inner)
{
	size_t i = find(fake, inner);

	if (i == fake->n_peers)
		return;
	fake->n_peers--;
	fake->peers[i] = fake->peers[fake->n_peers];
	fake->usage[i] = fake->usage[fake->n_peers];
}

static int remove_peers(
	struct plane_device *device, const struct plane_peer *peers, size_t n, int *errors)
{
	for (size_t i = 0; i < n; i++) {
		errors[i] = device->fake->remove_error;
		if (errors[i] == 0)
			fake_plane_lose(device->fake, peers[i].inner);
	}
	return device->fake->remove_error;
}

static int dump(struct plane_device *device, plane_peer_fn *found, void *context)
{
	struct fake_plane *fake = device->fake;

	if (fake->device_is_lost)
		return -ENODEV;
	if (fake->dump_error)
		return fake->dump_error;
	for (size_t i = 0; i < fake->n_peers; i++) {
		int error = found(context, &fake->peers[i], &fake->usage[i]);

		if (error != 0)
			return error;
	}
	return 0;
}

static int seek(
	struct plane_device *device, const struct plane_peer *peer, const struct plane_usage *last)
{
	struct fake_plane *fake = device->fake;

	if (find(fake, peer->inner) < fake->n_peers && last->outer_port != 0) {
		fake->n_sought++;
		fake->sought_at = *last;
	}
	return fake->seek_error;
}

static int tend(struct plane_device *device)
{
	device->fake->n_tends++;
	return device->fake->tend_error;
}

static const struct plane_ops fake_ops = {
	.name = "fake",
	.open = open_device,
	.close = close_device,
	.add = add,
	.check = check,
	.remove = remove_peers,
	.dump = dump,
	.seek = seek,
	.tend = tend,
};

void fake_plane_init(struct fake_plane *fake)
{
	*fake = (struct fake_plane){.plane = {.ops = &fake_ops}};
}

struct plane_usage *fake_plane_usage(struct fake_plane *fake, struct ipv4 inner)
{
	size_t i = find(fake, inner);

	return i < fake->n_peers ? &fake->usage[i] : NULL;
}
