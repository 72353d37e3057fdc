/* The side of the process that is replaced: what it tells, in which order, and who has the device
 * in the end. Runs in the control thread. */
#include "device/handover_give.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/notify.h"
#include "device/handover_channel.h"
#include "device/handover_save.h"
#include "device/handover_socket.h"

enum {
	US_PER_S = 1000000,
	NS_PER_US = 1000,
	NOTICE_SIZE = 32, /* "MAINPID=" and a number */
};

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * US_PER_S + (uint64_t)now.tv_nsec / NS_PER_US;
}

static void refuse(struct handover_channel *channel, int error)
{
	const struct handover_refused record = {.error = error};

	channel->used = 0;
	if (handover_put(channel, HANDOVER_REFUSED, &record, sizeof record) < 0 ||
		handover_flush(channel) < 0) {
		/* it is gone, or does not read: then it must not see this end closed, which would
		 * mean that this process has died */
		channel->fd = -1;
	}
}

/* Waits for a record of that type. */
static int expect(
	struct handover_channel *channel, enum handover_type type, struct handover_record *record)
{
	int error = handover_next(channel, record);

	if (error == 0 && record->fd >= 0)
		close(record->fd);
	return error == 0 && record->type != type ? -EPROTO : error;
}

static int greet(struct handover_channel *channel, const struct device *device, bool busy)
{
	struct handover_hello hello;
	struct handover_record record;
	uint64_t netns = handover_netns(device->shared.udp4[0]);
	int error = expect(channel, HANDOVER_HELLO, &record);

	if (error < 0)
		return error;
	handover_read(&record, &hello, sizeof hello);
	if (hello.oldest > HANDOVER_VERSION || hello.newest < HANDOVER_VERSION)
		return -EPROTONOSUPPORT;
	if (hello.netns != 0 && netns != 0 && hello.netns != netns)
		return -EXDEV;
	if (busy)
		return -EBUSY;
	hello = (struct handover_hello){.oldest = HANDOVER_VERSION,
		.newest = HANDOVER_VERSION,
		.now_ms = clock_now_ms(&boot_clock)};
	error = handover_put(channel, HANDOVER_HELLO, &hello, sizeof hello);
	return error == 0 ? handover_flush(channel) : error;
}

/* --- What it carries packets with --- */

static int put_description(struct handover_channel *channel, const struct device *device)
{
	const struct shared *shared = &device->shared;
	const struct cookie_checker *checker = &shared->wireguard.checker;
	const struct fast_path *path = &device->fast_path;
	struct handover_device record;
	int error;

	memset(&record, 0, sizeof record);
	snprintf(record.name, sizeof record.name, "%s", shared->tun.name);
	record.private_key = device->private_key;
	record.n_workers = device->n_workers;
	record.interface = device->interface;
	record.mtu = atomic_load(&shared->mtu);
	record.mark = device->mark;
	record.ipip_local = device->ipip_local.s_addr;
	record.source = atomic_load(&shared->source);
	record.port = device->port;
	record.up = shared->wireguard.up;
	record.tso = shared->tun.tso;
	record.uso = shared->tun.uso;
	record.no_fast_path = device->no_fast_path;
	record.logged_plain = atomic_load(&shared->refusals.said[REFUSAL_UDP_SEGMENT]);
	record.has_cookie_secret = checker->has_secret;
	memcpy(record.cookie_secret, checker->secret, sizeof record.cookie_secret);
	record.cookie_secret_made_ms = checker->secret_made_ms;
	record.latest_ns = shared->wireguard.timestamps.latest_ns;
	record.latest_ms = shared->wireguard.timestamps.latest_ms;
	record.fast_local = path->local.s_addr;
	record.n_uplinks = fast_path_is_open(path) ? path->n_uplinks : 0;
	for (unsigned int i = 0; i < record.n_uplinks; i++)
		record.uplinks[i] = path->uplinks[i];
	error = handover_put(channel, HANDOVER_DEVICE, &record, sizeof record);
	explicit_bzero(&record, sizeof record);
	return error;
}

/* -1: there is none. */
static int put_file(
	struct handover_channel *channel, enum handover_file_kind kind, unsigned int number, int fd)
{
	const struct handover_file file = {.kind = kind, .number = number};

	return fd < 0 ? 0 : handover_put_file(channel, &file, fd);
}

static int put_sockets(struct handover_channel *channel, const struct device *device)
{
	const struct shared *shared = &device->shared;
	int error = 0;

	for (unsigned int i = 0; i < device->n_workers && error == 0; i++) {
		error = put_file(channel, HANDOVER_TUN, i, shared->tun.queues[i]);
		if (error == 0)
			error = put_file(channel, HANDOVER_UDP4, i, shared->udp4[i]);
		if (error == 0)
			error = put_file(channel, HANDOVER_UDP6, i, shared->udp6[i]);
	}
	if (error == 0)
		error = put_file(channel, HANDOVER_RAW, 0, shared->ipip.raw);
	if (error == 0)
		error = put_file(channel, HANDOVER_FRAGMENTING, 0, shared->ipip.fragmenting);
	return error;
}

/* What the privileged helper holds of the fast path: its copies keep it attached. */
static int put_programs(struct handover_channel *channel, struct device *device)
{
	int error = put_file(channel, HANDOVER_TX_MAP, 0, device->fast_path.tx_map);

	if (error == 0)
		error = put_file(channel, HANDOVER_RX_MAP, 0, device->fast_path.rx_map);
	for (unsigned int i = 0; fast_path_is_open(&device->fast_path) && error == 0; i++) {
		int fd = privileged_helper_give_program(&device->helper, i);

		if (fd < 0)
			break;
		error = put_file(channel, HANDOVER_PROGRAM, i, fd);
		close(fd);
	}
	return error;
}

static int put_process_files(struct handover_channel *channel, const struct handover_files *files)
{
	int error = put_file(channel, HANDOVER_CONTROL_LISTENER, 0, files->control_listener);

	for (unsigned int i = 0; i < files->n_connections && error == 0; i++)
		error = put_file(channel, HANDOVER_CONTROL_CONNECTION, i, files->connections[i]);
	if (error == 0)
		error = put_file(channel, HANDOVER_LISTENER, 0, files->listener);
	if (error == 0)
		error = put_file(channel, HANDOVER_LOG, 0, files->log);
	if (error == 0)
		error = put_file(channel, HANDOVER_NOTIFY, 0, files->notify);
	return error;
}

/* All that can be told while workers go on. */
static int tell_configuration(
	struct handover_channel *channel, struct device *device, const struct handover_files *files)
{
	int error = put_description(channel, device);

	if (error == 0)
		error = put_sockets(channel, device);
	if (error == 0)
		error = put_programs(channel, device);
	if (error == 0)
		error = put_process_files(channel, files);
	if (error == 0)
		error = handover_put(channel, HANDOVER_ALL_FILES, NULL, 0);
	if (error == 0)
		error = handover_save_peers(channel, device);
	if (error == 0)
		error = handover_put(channel, HANDOVER_CONFIGURED, NULL, 0);
	return error == 0 ? handover_flush(channel) : error;
}

/* --- The moment --- */

static void stop_workers(struct device *device)
{
	worker_pause_set(&device->shared.pause, WORKERS_STAND);
	for (unsigned int i = 0; i < device->n_workers; i++)
		worker_call(&device->workers[i]);
	worker_pause_wait_for(&device->shared.pause, device->n_workers);
}

/*
 * Whether the other process has the device. Where it has said nothing in time, or something else,
 * nothing that it sends from now on arrives, which it sees; what it has sent before is there to be
 * read.
 */
static bool is_taken(struct handover_channel *channel)
{
	struct handover_record record;
	int error = expect(channel, HANDOVER_TAKEN, &record);

	if (error == 0)
		return true;
	if (shutdown(channel->fd, SHUT_RD) < 0)
		log_warning("cannot shut a socket: %s", strerror(errno));
	do {
		error = expect(channel, HANDOVER_TAKEN, &record);
		if (error == 0)
			return true;
	} while (error != -EPIPE && error != -ETIMEDOUT);
	return false;
}

/* While no worker carries packets. Returns 0: the device is the other process's. */
static int tell_state(struct handover_channel *channel, struct device *device)
{
	int error = handover_save_sessions(channel, device);

	if (error == 0)
		error = handover_put(channel, HANDOVER_END, NULL, 0);
	if (error == 0)
		error = handover_flush(channel);
	if (error == 0)
		error = is_taken(channel) ? 0 : -ECANCELED;
	return error;
}

static int move(struct handover_channel *channel, struct device *device, uint64_t *waited_us)
{
	uint64_t began;
	int error = privileged_helper_own_paths(&device->helper, false);

	if (error < 0)
		return error;
	began = now_us();
	stop_workers(device);
	error = tell_state(channel, device);
	if (error < 0) {
		worker_pause_set(&device->shared.pause, WORKERS_RUN);
		if (privileged_helper_own_paths(&device->helper, true) < 0)
			log_warning("%s: the privileged helper does not answer",
				device->shared.tun.name);
	}
	*waited_us = now_us() - began;
	return error;
}

static void tell_service_manager(int notify, pid_t pid)
{
	char notice[NOTICE_SIZE];

	snprintf(notice, sizeof notice, "MAINPID=%d", (int)pid);
	if (notify >= 0)
		notify_send(notify, notice);
}

int handover_give(struct device *device, const struct handover_files *files, int connection,
	pid_t pid, bool busy)
{
	const char *name = device->shared.tun.name;
	struct handover_channel channel;
	struct handover_record record;
	uint64_t waited_us = 0;
	int error = handover_channel_init(&channel, connection);

	if (error < 0) {
		handover_channel_free(&channel);
		return error;
	}
	error = greet(&channel, device, busy);
	if (error == 0)
		error = tell_configuration(&channel, device, files);
	if (error == 0)
		error = expect(&channel, HANDOVER_READY, &record);
	if (error == 0)
		error = move(&channel, device, &waited_us);
	if (error == 0) {
		tell_service_manager(files->notify, pid);
		log_info("%s: handed over to process %d: packets waited for %u.%u ms", name,
			(int)pid, (unsigned int)(waited_us / 1000),
			(unsigned int)(waited_us % 1000 / 100));
	} else {
		refuse(&channel, error);
		if (error != -EBUSY)
			log_warning("%s: not handed over to process %d, and goes on: %s", name,
				(int)pid, strerror(-error));
	}
	handover_channel_free(&channel);
	return error;
}
