/*
 * The workers of a device stand still at one place, between two turns, where none of them holds a
 * packet: while the device is handed over to another process, and before it begins. They are told
 * to come there by their eventfd (worker.h).
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

enum worker_pause_state {
	WORKERS_RUN,
	WORKERS_STAND, /* those that come wait */
	WORKERS_END, /* those that come, or wait, end: they do nothing more */
};

struct worker_pause {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum worker_pause_state state;
	unsigned int n_away; /* that wait, or have ended */
};

void worker_pause_init(struct worker_pause *pause, enum worker_pause_state state);
void worker_pause_free(struct worker_pause *pause);

/* By the control thread. */
void worker_pause_set(struct worker_pause *pause, enum worker_pause_state state);
/* Waits until all n workers wait, or have ended. */
void worker_pause_wait_for(struct worker_pause *pause, unsigned int n);

/* By a worker between two turns: waits while it is to. False: it is to end. */
bool worker_pause_pass(struct worker_pause *pause);
/* By a worker that ends by itself. */
void worker_pause_leave(struct worker_pause *pause);
