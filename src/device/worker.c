/*
 * A worker's thread: waits for its queue of the TUN and its sockets, and carries packets between
 * them, within its epoch. One thread a worker.
 */
#include "device/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "device/io/segment.h"
#include "device/ipip/ipip.h"

enum {
	READS_PER_TURN = 32, /* before other sources get theirs */
	RECEIVES_PER_TURN = 4,
	EVENTS = 8,
	FORGET_MS = 5000, /* without a packet: then no copy of the last key is kept */
};

enum worker_source {
	SOURCE_TUN,
	SOURCE_UDP4,
	SOURCE_UDP6,
	SOURCE_RAW,
	SOURCE_RAW_ERRORS,
	SOURCE_STOP,
};

static int watch(struct worker *worker, int fd, enum worker_source source, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.u32 = source};

	if (fd < 0)
		return 0;
	if (epoll_ctl(worker->epoll, EPOLL_CTL_ADD, fd, &event) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

int worker_watch_sockets(struct worker *worker)
{
	int error = watch(worker, worker->shared->udp4[worker->number], SOURCE_UDP4, EPOLLIN);

	if (error == 0)
		error = watch(worker, worker->shared->udp6[worker->number], SOURCE_UDP6, EPOLLIN);
	/* one raw socket takes the packets of all peers: their order is kept by one worker */
	if (error == 0 && worker->number == 0)
		error = watch(worker, worker->shared->ipip.raw, SOURCE_RAW, EPOLLIN);
	/* once each: the control thread reads them */
	if (error == 0 && worker->number == 0)
		error = watch(worker, worker->shared->ipip.fragmenting, SOURCE_RAW_ERRORS,
			EPOLLERR | EPOLLET);
	return error;
}

int worker_init(struct worker *worker, struct shared *shared, unsigned int number)
{
	int error;

	*worker = (struct worker){.shared = shared,
		.number = number,
		.tun = shared->tun.queues[number],
		.epoll = epoll_create1(EPOLL_CLOEXEC),
		.stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.in = malloc(AEAD_ROOM + TUN_READ_MAX + SEGMENT_PAD_MAX + AEAD_ROOM)};
	if (worker->in)
		memset(worker->in, 0, AEAD_ROOM);
	if (!worker->in || worker->epoll < 0 || worker->stop < 0)
		error = -ENOMEM;
	else
		error = transmitter_init(&worker->transmitter, shared, number);
	if (error == 0)
		error = receiver_init(&worker->receiver, shared, worker->tun);
	if (error == 0)
		error = watch(worker, worker->tun, SOURCE_TUN, EPOLLIN);
	if (error == 0)
		error = watch(worker, worker->stop, SOURCE_STOP, EPOLLIN);
	if (error == 0)
		error = worker_watch_sockets(worker);
	worker->ipip = ipip_receiver_new(&shared->ipip);
	worker->transmitter.ipip = ipip_sender_new(&shared->ipip, worker->tun);
	if (error == 0 && (!worker->ipip || !worker->transmitter.ipip))
		error = -ENOMEM;
	return error;
}

void worker_free(struct worker *worker)
{
	ipip_sender_free(worker->transmitter.ipip);
	ipip_receiver_free(worker->ipip);
	transmitter_free(&worker->transmitter);
	receiver_free(&worker->receiver);
	free(worker->in);
	close(worker->epoll);
	close(worker->stop);
}

/* Returns false if the device is gone. */
static bool read_tun(struct worker *worker, uint64_t now_ms)
{
	struct virtio_net_hdr header;
	uint8_t *in = worker->in + AEAD_ROOM, *packet = in + sizeof header;

	for (int i = 0; i < READS_PER_TURN; i++) {
		ssize_t n = read(worker->tun, in, TUN_READ_MAX);

		if (n < 0 && errno == EBADFD)
			return false;
		if (n < (ssize_t)sizeof header)
			break;
		memcpy(&header, in, sizeof header);
		transmit_packet(
			&worker->transmitter, &header, packet, (size_t)n - sizeof header, now_ms);
	}
	transmit_flush(&worker->transmitter);
	return true;
}

static void read_udp(struct worker *worker, int fd, uint64_t now_ms)
{
	for (int i = 0; i < RECEIVES_PER_TURN; i++)
		if (receive_udp(&worker->receiver, fd, now_ms) < UDP_BATCH)
			break;
}

/* Returns false when the thread is to end. */
static bool serve(struct worker *worker, enum worker_source source, uint64_t now_ms)
{
	switch (source) {
	case SOURCE_TUN:
		return read_tun(worker, now_ms);
	case SOURCE_UDP4:
		read_udp(worker, worker->shared->udp4[worker->number], now_ms);
		return true;
	case SOURCE_UDP6:
		read_udp(worker, worker->shared->udp6[worker->number], now_ms);
		return true;
	case SOURCE_RAW:
		ipip_receive(worker->ipip, &worker->receiver.writer, now_ms);
		return true;
	case SOURCE_RAW_ERRORS:
		atomic_store(&worker->shared->ipip.has_errors, true);
		shared_wake(worker->shared);
		return true;
	case SOURCE_STOP:
		return true; /* after this turn: run() */
	}
	return true;
}

/* What was asked with the eventfd: to stand still for a while, or to end. */
static bool pass_pause(struct worker *worker)
{
	uint64_t events;

	if (read(worker->stop, &events, sizeof events) < 0) {
		/* nothing was asked */
	}
	return worker_pause_pass(&worker->shared->pause);
}

/* One turn: what epoll has found. Returns false if the device is gone. */
static bool serve_events(
	struct worker *worker, const struct epoll_event *events, int n, bool *asked)
{
	struct epoch *epoch = &worker->shared->epoch;
	uint64_t now_ms;
	bool go_on = true;

	*asked = false;
	epoch_online(epoch, worker->number);
	now_ms = clock_now_ms(&boot_clock);
	for (int i = 0; i < n && go_on; i++) {
		*asked |= events[i].data.u32 == SOURCE_STOP;
		go_on = serve(worker, events[i].data.u32, now_ms);
	}
	epoch_offline(epoch, worker->number);
	return go_on;
}

/* The device is gone, or something fails. */
static void end_by_itself(struct worker *worker)
{
	worker_pause_leave(&worker->shared->pause);
	atomic_store(&worker->ended, true);
	shared_wake(worker->shared);
}

static void *run(void *argument)
{
	struct worker *worker = argument;
	struct epoll_event events[EVENTS];
	bool go_on = worker_pause_pass(&worker->shared->pause), asked;
	int timeout_ms = -1;

	while (go_on) {
		int n = epoll_wait(worker->epoll, events, EVENTS, timeout_ms);

		if (n == 0) {
			aead_batch_forget(worker->transmitter.aead);
			aead_batch_forget(worker->receiver.aead);
			timeout_ms = -1;
			continue;
		}
		timeout_ms = FORGET_MS;
		if (!serve_events(worker, events, n, &asked)) {
			end_by_itself(worker);
			return NULL;
		}
		if (asked)
			go_on = pass_pause(worker);
	}
	return NULL;
}

int worker_start(struct worker *worker)
{
	return -pthread_create(&worker->thread, NULL, run, worker);
}

void worker_call(struct worker *worker)
{
	static const uint64_t one = 1;

	if (write(worker->stop, &one, sizeof one) < 0) {
		/* it has been told already */
	}
}

void worker_join(struct worker *worker)
{
	pthread_join(worker->thread, NULL);
}
