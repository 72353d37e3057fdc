/*
 * Work that blocks, done by a thread beside the event loop, one piece at a time. The thread has
 * only what it is given.
 */
#pragma once

struct event_base;
struct job;

/* In the thread; all signals are blocked. Returns 0 or a negative errno. */
typedef int job_run_fn(void *context);
/* In the event loop, when run() is through: what it returned. It may start the job again. */
typedef void job_done_fn(void *context, int result);

/* Returns 0 or a negative errno. */
int job_new(struct event_base *base, job_run_fn *run, job_done_fn *done, void *context,
	struct job **job);

/* It must not be running. Returns 0, and then done() is called once, or a negative errno. */
int job_start(struct job *job);

/* Waits for run() if it is running; done() is not called any more. NULL is fine. */
void job_free(struct job *job);
