/*
 * How a device is made, in the order that the privileges ask for: the privileged helper first, then
 * all that is opened while it still may be, at last the sandbox. And what WireGuard's control
 * side sends: wireguard_ops. Runs in the control thread.
 */
#include "device/setup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cache_line.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/user.h"
#include "device/confine.h"
#include "device/control.h"
#include "device/fast_path_control.h"
#include "device/io/udp.h"
#include "device/links.h"
#include "device/peers.h"
#include "device/sockets.h"

static void send_to_peer(void *context, struct wg_peer *peer, const void *datagram, size_t length)
{
	struct device *device = context;

	transmit_datagram(&device->transmitter, peer, datagram, length);
}

static void answer(
	void *context, const struct udp_endpoint *to, const void *datagram, size_t length)
{
	struct device *device = context;

	transmit_answer(&device->transmitter, to, datagram, length);
}

static bool peer_ready(void *context, struct wg_peer *peer)
{
	struct device *device = context;
	bool any = transmit_staged(&device->transmitter, peer, clock_now_ms(&boot_clock));

	transmit_flush(&device->transmitter);
	return any;
}

static void peer_gave_up(void *context, struct wg_peer *peer)
{
	struct device *device = context;

	staged_packets_drop(&device->shared.staged, peer);
}

static void peer_release(void *context, struct wg_peer *peer)
{
	struct device *device = context;

	staged_packets_drop(&device->shared.staged, peer);
	free(peer);
}

static const struct wireguard_ops wireguard_ops = {
	.send = send_to_peer,
	.answer = answer,
	.ready = peer_ready,
	.gave_up = peer_gave_up,
	.release = peer_release,
};

int device_make_interface(struct device *device, const char *name, unsigned int n_workers)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	*device = (struct device){.n_workers = n_workers};
	if (n_workers == 0)
		device->n_workers = cores < 1 ? 1 : (unsigned int)cores;
	if (device->n_workers > TUN_QUEUES_MAX)
		device->n_workers = TUN_QUEUES_MAX;
	return tun_open(&device->shared.tun, name, device->n_workers);
}

static int init_tun(struct device *device)
{
	struct tun *tun = &device->shared.tun;
	int error = tun_configure(tun, DEVICE_MTU, DEVICE_QUEUE);
	int mtu = tun_mtu(tun);

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

	worker_pause_init(&shared->pause, WORKERS_STAND);
	shared->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (shared->wake < 0)
		return -errno;
	error = epoch_init(&shared->epoch, device->n_workers);
	if (error < 0)
		return error;
	allowedips_init(&shared->inner, &shared->epoch);
	shared->refusals.name = shared->tun.name;
	ipip_init(&shared->ipip, &shared->epoch, &shared->mtu, &shared->drops, &shared->refusals);
	staged_packets_init(&shared->staged);
	return control_init(&shared->wireguard, &shared->epoch, &wireguard_ops, device, &boot_clock,
		clock_wall_ns, noise_random);
}

static int init_workers(struct device *device)
{
	int error = transmitter_init(&device->transmitter, &device->shared, 0);

	device->workers = cache_line_calloc(device->n_workers, sizeof *device->workers);
	if (!device->workers)
		return -ENOMEM;
	for (unsigned int i = 0; i < device->n_workers && error == 0; i++)
		error = worker_init(&device->workers[i], &device->shared, i);
	return error;
}

int device_init(struct device *device, const char *const paths[PRIVILEGED_HELPER_PATHS])
{
	int error = privileged_helper_start(&device->helper, paths, true);

	if (error == 0)
		error = init_tun(device);
	if (error == 0)
		error = init_shared(device);
	if (error == 0)
		error = fast_path_control_init(device);
	if (error == 0)
		error = sleep_watch_open(&device->sleep);
	if (error == 0)
		error = sockets_init(device);
	if (error == 0)
		error = init_workers(device);
	return error;
}

static int adopt_tun(struct device *device, const struct handover_device *description,
	const struct handover_device_files *files)
{
	struct tun *tun = &device->shared.tun;

	tun_adopt(tun, description->name, files->tun, description->n_workers);
	tun->tso = description->tso != 0;
	tun->uso = description->uso != 0;
	atomic_store(&device->shared.mtu, description->mtu);
	return links_open_adopted(device, description->interface);
}

/* What the helper of the other process has open, this one's keeps too, and nobody else: it would
 * stay attached when the helper lets go of it. */
static int adopt_programs(struct device *device, const struct handover_device_files *files)
{
	int error = 0;

	for (unsigned int i = 0; i < HANDOVER_PROGRAMS_MAX; i++) {
		if (files->programs[i] < 0)
			continue;
		if (error == 0)
			error = privileged_helper_adopt_program(
				&device->helper, i, files->programs[i]);
		close(files->programs[i]);
	}
	return error;
}

int device_adopt_fast_path(struct device *device, const struct handover_device *description,
	const struct handover_device_files *files)
{
	int error;

	device->fast_path.mark = device->mark;
	if (files->tx_map < 0 || files->rx_map < 0)
		return 0;
	error = adopt_programs(device, files);
	if (error == 0)
		fast_path_adopt(&device->fast_path, (struct in_addr){description->fast_local},
			files->tx_map, files->rx_map, description->uplinks, description->n_uplinks);
	return error;
}

/* Before there are peers: nothing is begun for them. */
static int adopt_settings(struct device *device, const struct handover_device *description)
{
	struct shared *shared = &device->shared;
	struct cookie_checker *checker = &shared->wireguard.checker;
	int error = device_set_private_key(device, &description->private_key);

	device->port = description->port;
	device->mark = description->mark;
	device->ipip_local.s_addr = description->ipip_local;
	device->no_fast_path = description->no_fast_path != 0;
	atomic_store(&shared->source, description->source);
	atomic_store(&shared->refusals.said[REFUSAL_UDP_SEGMENT], description->logged_plain != 0);
	shared->wireguard.timestamps =
		(struct timestamps){description->latest_ns, description->latest_ms};
	checker->has_secret = description->has_cookie_secret != 0;
	checker->secret_made_ms = description->cookie_secret_made_ms;
	memcpy(checker->secret, description->cookie_secret, sizeof checker->secret);
	control_set_up(&shared->wireguard, description->up != 0);
	return error;
}

int device_adopt(struct device *device, const struct handover_device *description,
	const struct handover_device_files *files, const char *const paths[PRIVILEGED_HELPER_PATHS])
{
	int error;

	*device = (struct device){.n_workers = description->n_workers};
	error = privileged_helper_start(&device->helper, paths, false);
	if (error == 0)
		error = init_shared(device);
	if (error == 0)
		error = adopt_tun(device, description, files);
	if (error == 0)
		error = fast_path_control_init(device);
	if (error == 0)
		error = sleep_watch_open(&device->sleep);
	if (error == 0)
		error = adopt_settings(device, description);
	device->shared.ipip.raw = files->raw;
	device->shared.ipip.fragmenting = files->fragmenting;
	if (error == 0)
		error = sockets_adopt(device, files->udp4, files->udp6);
	return error == 0 ? init_workers(device) : error;
}

/* Once, at the start. What the paths to peers lack is found out later. */
static void log_what_is_lacking(const struct device *device)
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
	struct user user;
	int error = user_find_own(DEVICE_USER, &user);

	if (error == 0)
		error = confine_privileges(&user);
	tzset(); /* the log's first date would open a file */
	for (unsigned int i = 0; i < device->n_workers && error == 0; i++)
		error = worker_start(&device->workers[i]);
	return error == 0 ? confine_device() : error;
}

void device_begin(struct device *device)
{
	log_what_is_lacking(device);
	/* Where it cannot be seen whether the interface is up. */
	control_set_up(&device->shared.wireguard, true);
	links_refresh(device);
	worker_pause_set(&device->shared.pause, WORKERS_RUN);
}

void device_go_on(struct device *device)
{
	worker_pause_set(&device->shared.pause, WORKERS_RUN);
	shared_wake(&device->shared);
	if (privileged_helper_own_paths(&device->helper, true) < 0)
		log_warning("%s: the privileged helper does not answer", device->shared.tun.name);
	links_refresh(device);
}

static void end_workers(struct device *device)
{
	worker_pause_set(&device->shared.pause, WORKERS_END);
	for (unsigned int i = 0; i < device->n_workers; i++)
		worker_call(&device->workers[i]);
	for (unsigned int i = 0; i < device->n_workers; i++)
		worker_join(&device->workers[i]);
	worker_pause_free(&device->shared.pause);
}

void device_leave(struct device *device)
{
	fast_path_leave(&device->fast_path);
	device_free(device);
}

void device_free(struct device *device)
{
	struct shared *shared = &device->shared;

	end_workers(device);
	device_remove_peers(device, TARGET_WIREGUARD);
	device_remove_peers(device, TARGET_IPIP);
	control_run(&shared->wireguard);
	for (unsigned int i = 0; i < device->n_workers; i++)
		worker_free(&device->workers[i]);
	cache_line_free(device->workers);
	transmitter_free(&device->transmitter);
	control_free(&shared->wireguard);
	allowedips_free(&shared->inner);
	ipip_free(&shared->ipip);
	epoch_free(&shared->epoch);
	staged_packets_free(&shared->staged);
	fast_path_free(&device->fast_path);
	sleep_watch_close(&device->sleep);
	sockets_free(device);
	tun_close(&shared->tun);
	close(shared->wake);
	close(device->links);
	key_wipe(&device->private_key);
}
