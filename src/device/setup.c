#include "device/device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "device/confine.h"
#include "device/links.h"
#include "device/ipip/fast_path.h"
#include "device/sockets.h"
#include "device/io/udp.h"

enum {
	NS_PER_S = 1000000000,
	SHORT_WAY_INTERVAL_MS = 200, /* between two looks at the routes */
	SHORT_WAY_AGE_MS = 10 * 60 * 1000, /* as long as the kernel believes what a router said */
};

static uint64_t wall_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void send_for_control(void *context, struct peer *peer, const void *datagram, size_t length)
{
	struct device *device = context;

	transmit_datagram(&device->transmitter, target_of_peer(peer), datagram, length);
}

static void answer_for_control(
	void *context, const struct endpoint *to, const void *datagram, size_t length)
{
	struct device *device = context;

	transmit_answer(&device->transmitter, to, datagram, length);
}

static void peer_moved(void *context, struct peer *peer, const struct endpoint *source)
{
	struct wireguard_target *target = target_of_peer(peer);

	(void)context;
	if (!whereabouts_is(&target->where, source))
		whereabouts_set(&target->where, source);
}

static bool peer_ready(void *context, struct peer *peer)
{
	struct device *device = context;
	bool any = transmit_waiting(
		&device->transmitter, target_of_peer(peer), clock_now_ms(&system_clock));

	transmit_flush(&device->transmitter);
	return any;
}

static void peer_gave_up(void *context, struct peer *peer)
{
	struct device *device = context;

	waiting_drop(&device->shared.waiting, target_of_peer(peer));
}

static void peer_release(void *context, struct peer *peer)
{
	struct device *device = context;
	struct wireguard_target *target = target_of_peer(peer);

	waiting_drop(&device->shared.waiting, target);
	free(target);
}

static const struct control_ops control_ops = {
	.send = send_for_control,
	.answer = answer_for_control,
	.moved = peer_moved,
	.ready = peer_ready,
	.gave_up = peer_gave_up,
	.release = peer_release,
};

static int init_tun(struct device *device, const char *name)
{
	struct tun *tun = &device->shared.tun;
	int error = tun_open(tun, name, device->n_workers), mtu;

	if (error < 0)
		return error;
	error = tun_configure(tun, DEVICE_MTU, DEVICE_QUEUE);
	mtu = tun_mtu(tun);
	if (error == 0 && mtu < 0)
		error = mtu;
	if (error == 0)
		error = links_open(device);
	if (error == 0)
		error = links_set_mtu(device, (uint32_t)mtu);
	if (error < 0)
		tun_close(tun);
	return error;
}

static int init_shared(struct device *device)
{
	struct shared *shared = &device->shared;
	int error;

	shared->raw = shared->raw_fragmenting = -1;
	shared->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (shared->wake < 0)
		return -errno;
	error = epoch_init(&shared->epoch, device->n_workers);
	if (error < 0)
		return error;
	allowedips_init(&shared->inner, &shared->epoch);
	allowedips_init(&shared->outer, &shared->epoch);
	waiting_init(&shared->waiting);
	return control_init(&shared->control, &shared->epoch, &control_ops, device, &system_clock,
		wall_ns, noise_random);
}

static int init_workers(struct device *device)
{
	int error = transmitter_init(&device->transmitter, &device->shared, 0);

	device->workers = calloc(device->n_workers, sizeof *device->workers);
	if (!device->workers)
		return -ENOMEM;
	for (unsigned int i = 0; i < device->n_workers && error == 0; i++)
		error = worker_init(&device->workers[i], &device->shared, i);
	return error;
}

int device_init(
	struct device *device, const char *name, unsigned int n_workers, const char *uapi_path)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	int error;

	*device = (struct device){.n_workers = n_workers};
	if (n_workers == 0)
		device->n_workers = cores < 1 ? 1 : (unsigned int)cores;
	if (device->n_workers > TUN_QUEUES_MAX)
		device->n_workers = TUN_QUEUES_MAX;
	error = opener_start(&device->opener, uapi_path);
	if (error == 0)
		error = init_tun(device, name);
	if (error == 0)
		error = init_shared(device);
	if (error == 0)
		error = short_way_init(device);
	if (error == 0)
		error = sockets_init(device);
	if (error == 0)
		error = init_workers(device);
	return error;
}

/* Once, at the start. What the ways to peers lack is found out later. */
static void say_what_is_lacking(const struct device *device)
{
	const struct tun *tun = &device->shared.tun;

	if (!tun->tso)
		log_info("%s: the kernel cuts TCP before this device sees it: no TSO", tun->name);
	if (!tun->uso)
		log_info("%s: the kernel cuts UDP before this device sees it: no USO", tun->name);
	if (!udp_joins(device->shared.udp4[0]))
		log_info("%s: the kernel receives packets one by one: no UDP_GRO", tun->name);
}

int device_start(struct device *device)
{
	int error = confine_privileges();

	tzset(); /* the log's first date would open a file */
	say_what_is_lacking(device);
	for (unsigned int i = 0; i < device->n_workers && error == 0; i++)
		error = worker_start(&device->workers[i]);
	if (error == 0)
		error = confine_device();
	control_set_up(&device->shared.control, true);
	return error;
}

void device_free(struct device *device)
{
	struct shared *shared = &device->shared;

	for (unsigned int i = 0; i < device->n_workers; i++)
		worker_stop(&device->workers[i]);
	device_remove_all(device, TARGET_WIREGUARD);
	device_remove_all(device, TARGET_IPIP);
	control_run(&shared->control);
	for (unsigned int i = 0; i < device->n_workers; i++)
		worker_free(&device->workers[i]);
	free(device->workers);
	transmitter_free(&device->transmitter);
	control_free(&shared->control);
	allowedips_free(&shared->inner);
	allowedips_free(&shared->outer);
	epoch_free(&shared->epoch);
	waiting_free(&shared->waiting);
	short_way_free(device);
	sockets_free(device);
	tun_close(&shared->tun);
	close(shared->wake);
	close(device->links);
	key_wipe(&device->private_key);
}

/* Of this thread. */
static uint64_t cpu_ns(void)
{
	struct timespec spent;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
	return (uint64_t)spent.tv_sec * NS_PER_S + (uint64_t)spent.tv_nsec;
}

static void take_handshakes(struct device *device)
{
	uint64_t now = clock_now_ms(&system_clock), began;
	uint32_t waiting = 0;
	bool under_load;

	for (unsigned int i = 0; i < device->n_workers; i++)
		waiting += handoff_count(&device->workers[i].receiver.handoff);
	if (waiting == 0)
		return;
	under_load = load_is_high(&device->load, waiting, now);
	began = cpu_ns();
	for (unsigned int i = 0; i < device->n_workers; i++) {
		struct handoff *handoff = &device->workers[i].receiver.handoff;
		const struct handoff_message *message;

		for (int n = 0; n < HANDOFF_PLACES && (message = handoff_peek(handoff)); n++) {
			control_receive(&device->shared.control, message->data, message->length,
				&message->source, under_load);
			handoff_done(handoff);
		}
	}
	load_note(&device->load, cpu_ns() - began, now);
}

/* When to look at the routes again; they may change many at a time. */
static uint64_t short_way_deadline(const struct device *device)
{
	const struct short_way *way = &device->short_way;

	if (way->stale || atomic_load(&device->shared.raw_errors))
		return way->looked_ms + SHORT_WAY_INTERVAL_MS;
	return way->map_out < 0 ? UINT64_MAX : way->refreshed_ms + SHORT_WAY_AGE_MS;
}

static void look_at_short_way(struct device *device)
{
	struct short_way *way = &device->short_way;
	uint64_t now = clock_now_ms(&system_clock);

	if (now < short_way_deadline(device))
		return;
	way->looked_ms = now;
	if (atomic_exchange(&device->shared.raw_errors, false))
		short_way_read_errors(device);
	if (!way->stale && now < way->refreshed_ms + SHORT_WAY_AGE_MS)
		return;
	way->stale = false;
	way->refreshed_ms = now;
	short_way_refresh(device);
}

bool device_run(struct device *device)
{
	uint64_t events;

	if (read(device->shared.wake, &events, sizeof events) < 0) {
		/* a deadline woke us */
	}
	take_handshakes(device);
	control_run(&device->shared.control);
	look_at_short_way(device);
	aead_forget(device->transmitter.aead);
	for (unsigned int i = 0; i < device->n_workers; i++)
		if (atomic_load(&device->workers[i].ended))
			return false;
	return true;
}

int device_timeout_ms(const struct device *device)
{
	enum { LONGEST_MS = 3600 * 1000 };
	uint64_t now = clock_now_ms(&system_clock);
	uint64_t deadline = control_deadline(&device->shared.control);

	for (unsigned int i = 0; i < device->n_workers; i++)
		if (handoff_count(&device->workers[i].receiver.handoff) > 0)
			return 0;
	if (short_way_deadline(device) < deadline)
		deadline = short_way_deadline(device);
	if (deadline == UINT64_MAX)
		return -1;
	if (deadline <= now)
		return 0;
	return deadline - now > LONGEST_MS ? LONGEST_MS : (int)(deadline - now);
}
