/* A worker: one thread, one queue of the TUN, one socket of each family. What the kernel hashes to
 * a queue or a socket it carries through alone, so that nothing overtakes within a flow. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "device/receive.h"
#include "device/transmit.h"

struct worker {
	struct shared *shared;
	unsigned int number;
	int tun;
	int epoll;
	int stop; /* eventfd: come to shared->pause */
	_Atomic bool ended; /* by itself: the TUN device is gone */
	pthread_t thread;
	struct transmitter transmitter;
	struct receiver receiver;
	struct ipip_receiver *ipip;
	uint8_t *in; /* what is read from the TUN, behind what the AEAD needs */
};

/* Makes all that the thread will need. Returns 0 or a negative errno. */
int worker_init(struct worker *worker, struct shared *shared, unsigned int number);
/* The worker is not running. */
void worker_free(struct worker *worker);

/* Watches its UDP sockets (again): after another file has been put behind their numbers. By any
 * thread. Returns 0 or -errno. */
int worker_watch_sockets(struct worker *worker);

/* The thread begins at shared->pause. */
int worker_start(struct worker *worker);
/* Has it come to shared->pause after its turn. */
void worker_call(struct worker *worker);
/* It ends, by WORKERS_END at shared->pause: waits for that. */
void worker_join(struct worker *worker);
