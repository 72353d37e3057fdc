/* Linked to the tests that need a data plane in memory. */
#include "fake_plane.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"

static struct fake_plane *fake_of(const struct plane_device *device)
{
	return (struct fake_plane *)device->plane;
}

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
	struct fake_plane *fake = (struct fake_plane *)plane;

	fake->bind = endpoint->bind;
	fake->floor_ns = endpoint->floor_ns;
	if (fake->open_error)
		return fake->open_error;
	fake->device_is_lost = fake->n_going > 0;
	if (fake->n_going > 0)
		fake->n_going--;
	fake->device.plane = plane;
	*device = &fake->device;
	return 0;
}

static int close_device(struct plane_device *device, bool keep)
{
	if (!keep)
		fake_of(device)->n_peers = 0;
	return 0;
}

static int add(struct plane_device *device, const struct plane_peer *peer)
{
	struct fake_plane *fake = fake_of(device);
	size_t i = find(fake, peer->inner);

	if (fake->device_is_lost)
		return -ENODEV;
	fake->n_adds++;
	if (fake->add_error && !fake->adds_late)
		return fake->add_error;
	if (ipv4_equal(peer->inner, fake->refused))
		return -EEXIST;
	if (i == fake->n_peers) {
		fake->usage[i] = (struct plane_usage){0};
		fake->peers[fake->n_peers++] = *peer;
	}
	return fake->add_error;
}

static int add_many(struct plane_device *device, const struct plane_peer *peers, size_t n)
{
	int error = 0;

	usleep(fake_of(device)->add_ms * 1000);
	for (size_t i = 0; i < n && error == 0; i++)
		error = add(device, &peers[i]);
	return error;
}

static int check(struct plane_device *device, const struct plane_peer *peer)
{
	if (fake_of(device)->check_error)
		return fake_of(device)->check_error;
	return find(fake_of(device), peer->inner) < fake_of(device)->n_peers ? 0 : -ENODEV;
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
		errors[i] = fake_of(device)->remove_error;
		if (errors[i] == 0)
			fake_plane_lose(fake_of(device), peers[i].inner);
	}
	return fake_of(device)->remove_error;
}

struct fake_reading {
	struct plane_reading reading; /* first */
	size_t next; /* peer */
	struct fake_plane *fake;
	plane_peer_fn *found;
	void *context;
};

static int read_piece(struct plane_reading *reading)
{
	struct fake_reading *r = (struct fake_reading *)reading;
	size_t piece = r->fake->piece > 0 ? r->fake->piece : FAKE_MAX_PEERS;
	int error = 0;

	if (r->fake->device_is_lost)
		return -ENODEV;
	for (; r->next < r->fake->n_peers && piece > 0 && error == 0; r->next++, piece--)
		error = r->found(r->context, &r->fake->peers[r->next], &r->fake->usage[r->next]);
	return error < 0 ? error : r->next < r->fake->n_peers;
}

static void end_reading(struct plane_reading *reading)
{
	struct fake_reading *r = (struct fake_reading *)reading;

	r->fake->n_open_readings--;
	close(reading->fd);
	free(r);
}

static int read_peers(struct plane_device *device, plane_peer_fn *found, void *context,
	struct plane_reading **reading)
{
	struct fake_plane *fake = fake_of(device);
	struct fake_reading *r;

	if (fake->device_is_lost)
		return -ENODEV;
	if (fake->dump_error)
		return fake->dump_error;
	r = calloc(1, sizeof *r);
	if (!r)
		return -ENOMEM;
	*r = (struct fake_reading){
		.reading = {eventfd(1, EFD_CLOEXEC), read_piece, end_reading},
		.fake = fake,
		.found = found,
		.context = context,
	};
	fake->n_readings++;
	fake->n_open_readings++;
	*reading = &r->reading;
	return 0;
}

/* All is as add() makes it. */
static int find_peers(struct plane_device *device, plane_found_fn *found, void *context)
{
	struct fake_plane *fake = fake_of(device);

	if (fake->device_is_lost)
		return -ENODEV;
	for (size_t i = 0; i < fake->n_peers; i++) {
		struct plane_found one = {
			.peer = fake->peers[i],
			.local = fake->bind,
			.routed = fake->peers[i].inner,
		};
		int error = found(context, &one);

		if (error != 0)
			return error;
	}
	return 0;
}

static int restore_endpoints(struct plane_device *device, const struct plane_peer *peers,
	const struct plane_usage *lasts, size_t n)
{
	struct fake_plane *fake = fake_of(device);

	if (n > PLANE_ADD_BATCH)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (find(fake, peers[i].inner) == fake->n_peers || lasts[i].outer_port == 0)
			continue;
		fake->n_peers_at_restore[fake->n_restored] = fake->n_peers;
		fake->restored[fake->n_restored++] = peers[i];
		fake->restored_at = lasts[i];
	}
	return fake->restore_error;
}

static int serve(struct plane_device *device, uint64_t floor_ns)
{
	struct fake_plane *fake = fake_of(device);

	fake->floor_ns = floor_ns;
	return fake->device_is_lost ? -ENODEV : 0;
}

static int reconcile(struct plane_device *device, unsigned int longest_ms)
{
	struct fake_plane *fake = fake_of(device);

	fake->n_reconciles++;
	if (fake->n_reconcile_pieces > 0 && longest_ms != PLANE_AT_ONCE) {
		fake->n_reconcile_pieces--;
		return 1;
	}
	return fake->reconcile_error;
}

static int timestamp(struct plane_device *device, uint64_t *ns)
{
	const struct fake_plane *fake = fake_of(device);

	*ns = fake->timestamp_ns > 0 ? fake->timestamp_ns : clock_wall_ns();
	return fake->device_is_lost ? -ENODEV : 0;
}

static const uint64_t *drops(struct plane_device *device)
{
	return fake_of(device)->drops;
}

static uint64_t spoofed(struct plane *plane)
{
	return ((const struct fake_plane *)plane)->n_spoofed;
}

static const struct plane_ops fake_ops = {
	.name = "fake",
	.open = open_device,
	.find = find_peers,
	.close = close_device,
	.add = add,
	.add_many = add_many,
	.check = check,
	.remove = remove_peers,
	.read = read_peers,
	.restore_endpoints = restore_endpoints,
	.reconcile = reconcile,
	.serve = serve,
	.timestamp = timestamp,
	.drops = drops,
	.spoofed = spoofed,
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
