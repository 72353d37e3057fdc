/*
 * Starts a thread for each run of a job, and hears of its end by an eventfd. run() is called in
 * that thread, all else in the thread of the event loop.
 */
#include "base/job.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/cleanup.h"
#include "base/event.h"

struct job {
	job_run_fn *run;
	job_done_fn *done;
	void *context;
	pthread_t thread;
	bool is_running;
	int result;
	int ended; /* eventfd */
	struct event *readable;
};

static void *run_thread(void *context)
{
	struct job *job = context;
	const uint64_t one = 1;

	job->result = job->run(job->context);
	/* A counter of at most one cannot be full. */
	while (write(job->ended, &one, sizeof one) < 0 && errno == EINTR) {
	}
	return NULL;
}

static void on_ended(evutil_socket_t fd, short what, void *context)
{
	struct job *job = context;
	uint64_t count;

	(void)what;
	if (read(fd, &count, sizeof count) != sizeof count)
		return;
	pthread_join(job->thread, NULL);
	job->is_running = false;
	job->done(job->context, job->result);
}

int job_new(struct event_base *base, job_run_fn *run, job_done_fn *done, void *context,
	struct job **result)
{
	struct job *job = calloc(1, sizeof *job);
	int error = -ENOMEM;

	if (!job)
		return -ENOMEM;
	*job = (struct job){.run = run, .done = done, .context = context};
	job->ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (job->ended < 0)
		error = -errno;
	else
		job->readable = event_new(base, job->ended, EV_READ | EV_PERSIST, on_ended, job);
	if (!job->readable || event_add(job->readable, NULL) < 0) {
		job_free(job);
		return error;
	}
	*result = job;
	return 0;
}

int job_start(struct job *job)
{
	sigset_t all, before;
	int error;

	/* Signals are the event loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&job->thread, NULL, run_thread, job);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	job->is_running = error == 0;
	return -error;
}

void job_free(struct job *job)
{
	if (!job)
		return;
	if (job->is_running)
		pthread_join(job->thread, NULL);
	free_event(job->readable);
	cleanup_close(&job->ended);
	free(job);
}
