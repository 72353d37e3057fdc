/* The side of the process that takes a device over: what it is told, in which order, and whether it
 * has the device in the end. Runs in the control thread. */
#include "device/handover_take.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "device/handover_socket.h"

enum { BUSY_WAIT_MS = 20 }; /* before it is asked again */

static int put(
	struct handover_channel *channel, enum handover_type type, const void *data, size_t length)
{
	int error = handover_put(channel, type, data, length);

	return error == 0 ? handover_flush(channel) : error;
}

/* The namespace of this process, as handover_netns(). */
static uint64_t own_netns(void)
{
	auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return handover_netns(fd);
}

/* The next record, unless it is a refusal. */
static int receive(struct handover_channel *channel, struct handover_record *record)
{
	struct handover_refused refused;
	int error = handover_next(channel, record);

	if (error < 0 || record->type != HANDOVER_REFUSED)
		return error;
	handover_read(record, &refused, sizeof refused);
	return refused.error < 0 ? refused.error : -EPROTO;
}

static int greet(struct handover_take *take)
{
	const uint64_t asked_ms = clock_now_ms(&boot_clock);
	struct handover_hello hello = {.oldest = HANDOVER_VERSION,
		.newest = HANDOVER_VERSION,
		.now_ms = asked_ms,
		.netns = own_netns()};
	struct handover_record record;
	int error = put(&take->channel, HANDOVER_HELLO, &hello, sizeof hello);

	if (error == 0)
		error = receive(&take->channel, &record);
	if (error < 0)
		return error;
	if (record.type != HANDOVER_HELLO)
		return -EPROTO;
	handover_read(&record, &hello, sizeof hello);
	if (hello.oldest > HANDOVER_VERSION || hello.newest < HANDOVER_VERSION)
		return -EPROTONOSUPPORT;
	/* its clock was read after ours: no key looks younger than it is */
	take->restore.shift_ms = (int64_t)asked_ms - (int64_t)hello.now_ms;
	return 0;
}

static int ask_once(struct handover_take *take, const char *path)
{
	int fd = handover_connect(path);
	int error = fd < 0 ? fd : handover_channel_init(&take->channel, fd);

	if (error == 0)
		error = greet(take);
	if (error < 0 && fd >= 0)
		handover_channel_free(&take->channel);
	return error;
}

static int ask(struct handover_take *take, const char *path)
{
	static const struct timespec pause = {.tv_nsec = BUSY_WAIT_MS * 1000000L};
	int error = ask_once(take, path);

	for (int ms = 0; error == -EBUSY && ms < HANDOVER_STEP_MS; ms += BUSY_WAIT_MS) {
		nanosleep(&pause, NULL);
		error = ask_once(take, path);
	}
	return error;
}

static void no_files(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fds[i] = -1;
}

static void clear(struct handover_take *take)
{
	memset(take, 0, sizeof *take);
	take->channel.fd = take->channel.received_fd = -1;
	/* all of its members are descriptors */
	no_files((int *)&take->device, sizeof take->device / sizeof(int));
	no_files(take->files.connections, HANDOVER_CONNECTIONS_MAX);
	take->files.control_listener = take->files.listener = -1;
	take->files.log = take->files.notify = -1;
}

/* Where a descriptor of that kind and number is kept; NULL: nowhere. */
static int *place_of(struct handover_take *take, const struct handover_file *file)
{
	const struct {
		int *first;
		uint32_t n;
	} places[] = {
		[HANDOVER_TUN] = {take->device.tun, TUN_QUEUES_MAX},
		[HANDOVER_UDP4] = {take->device.udp4, TUN_QUEUES_MAX},
		[HANDOVER_UDP6] = {take->device.udp6, TUN_QUEUES_MAX},
		[HANDOVER_RAW] = {&take->device.raw, 1},
		[HANDOVER_FRAGMENTING] = {&take->device.fragmenting, 1},
		[HANDOVER_TX_MAP] = {&take->device.tx_map, 1},
		[HANDOVER_RX_MAP] = {&take->device.rx_map, 1},
		[HANDOVER_PROGRAM] = {take->device.programs, HANDOVER_PROGRAMS_MAX},
		[HANDOVER_CONTROL_LISTENER] = {&take->files.control_listener, 1},
		[HANDOVER_CONTROL_CONNECTION] = {take->files.connections, HANDOVER_CONNECTIONS_MAX},
		[HANDOVER_LISTENER] = {&take->files.listener, 1},
		[HANDOVER_LOG] = {&take->files.log, 1},
		[HANDOVER_NOTIFY] = {&take->files.notify, 1},
	};

	if (file->kind >= sizeof places / sizeof *places || file->number >= places[file->kind].n)
		return NULL;
	return &places[file->kind].first[file->number];
}

static int keep_file(struct handover_take *take, const struct handover_record *record)
{
	struct handover_file file;
	int *place;

	handover_read(record, &file, sizeof file);
	place = place_of(take, &file);
	if (record->fd < 0)
		return -EPROTO;
	if (!place || *place >= 0) {
		close(record->fd);
		return -EPROTO;
	}
	*place = record->fd;
	if (file.kind == HANDOVER_CONTROL_CONNECTION)
		take->files.n_connections = file.number + 1;
	return 0;
}

/* What a device cannot do without. */
static int check_device(const struct handover_take *take)
{
	const struct handover_device *description = &take->description;

	if (description->n_workers < 1 || description->n_workers > TUN_QUEUES_MAX ||
		description->n_uplinks > IPIP_UPLINKS_MAX ||
		!memchr(description->name, '\0', sizeof description->name))
		return -EPROTO;
	for (uint32_t i = 0; i < description->n_workers; i++)
		if (take->device.tun[i] < 0 || take->device.udp4[i] < 0)
			return -EPROTO;
	return take->files.control_listener < 0 || take->files.listener < 0 ? -EPROTO : 0;
}

static int receive_files(struct handover_take *take)
{
	struct handover_record record;
	int error;

	while ((error = receive(&take->channel, &record)) == 0) {
		if (record.type == HANDOVER_ALL_FILES)
			return check_device(take);
		if (record.type == HANDOVER_DEVICE)
			handover_read(&record, &take->description, sizeof take->description);
		else if (record.type == HANDOVER_FILE)
			error = keep_file(take, &record);
		else
			error = -EPROTO;
		if (error < 0)
			return error;
	}
	return error;
}

int handover_take_begin(struct handover_take *take, const char *path)
{
	int error;

	clear(take);
	error = ask(take, path);
	return error == 0 ? receive_files(take) : error;
}

int handover_take_peers(struct handover_take *take, struct device *device)
{
	struct handover_record record;
	int error;

	take->restore.device = device;
	while ((error = receive(&take->channel, &record)) == 0) {
		if (record.type == HANDOVER_CONFIGURED)
			return 0;
		error = handover_restore_peer(&take->restore, &record);
		if (error < 0)
			return error;
	}
	return error;
}

int handover_take_sessions(struct handover_take *take)
{
	struct handover_record record;
	int error = put(&take->channel, HANDOVER_READY, NULL, 0);

	while (error == 0 && (error = receive(&take->channel, &record)) == 0) {
		if (record.type == HANDOVER_END) {
			handover_restore_end(&take->restore);
			return 0;
		}
		error = handover_restore_session(&take->restore, &record);
	}
	return error;
}

/*
 * It has all that the other process has, and cannot say so. A process that goes on refuses before
 * it closes its end: one that has not has died, and its workers stood still before. Then nobody
 * else has the device.
 */
static int inherit(struct handover_take *take)
{
	struct handover_record record;
	int error;

	do
		error = handover_next(&take->channel, &record);
	while (error == -ECONNRESET);
	if (error == -EPIPE)
		return 0;
	return error < 0 ? error : -ECANCELED;
}

int handover_take_finish(struct handover_take *take)
{
	int error = put(&take->channel, HANDOVER_TAKEN, NULL, 0);

	return error < 0 ? inherit(take) : 0;
}

void handover_take_free(struct handover_take *take)
{
	handover_channel_free(&take->channel);
	handover_restore_free(&take->restore);
	explicit_bzero(take, sizeof *take);
}
