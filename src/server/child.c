/*
 * Starts processes, watches their sockets and replaces those that end. Runs in the broker.
 */
#include "server/child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/log.h"
#include "base/process.h"
#include "ipc/packet.h"
#include "server/spawn.h"

enum {
	/* Of packets to a child: enough for all that it may be sent at a time, whatever the host's
	   default is. */
	SOCKET_BUFFER_SIZE = 208 * 1024,
};

struct child_group {
	struct child_group_config config;
	struct event_base *base;
	struct event *child_ended;
	bool is_retired;
	struct child children[];
};

static int fork_child(struct child *child, int child_end, const int *descriptors, size_t n)
{
	const struct child_group_config *config = &child->group->config;
	auto_free int *all = calloc(n + 1, sizeof *all);
	pid_t pid;

	if (!all)
		return -ENOMEM;
	all[0] = child_end;
	if (n > 0)
		memcpy(all + 1, descriptors, n * sizeof *all);
	pid = spawn_process(config->command, config->program, all, n + 1);
	if (pid < 0)
		return pid;
	child->pid = pid;
	return 0;
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct child *child = context;
	const struct child_group_config *config = &child->group->config;

	(void)fd;
	(void)what;
	config->readable(config->context, child);
}

static void on_resume(evutil_socket_t fd, short what, void *context)
{
	struct child *child = context;

	(void)fd;
	(void)what;
	event_add(child->readable, NULL);
}

void child_pause(struct child *child, unsigned int ms)
{
	struct timeval delay = timeval_from_ms(ms);

	event_del(child->readable);
	evtimer_add(child->resume, &delay);
}

static void disconnect(struct child *child)
{
	if (child->fd < 0)
		return;
	event_del(child->resume);
	free_event(child->readable);
	child->readable = NULL;
	close(child->fd);
	child->fd = -1;
}

int child_spawn(struct child *child, const int *descriptors, size_t n)
{
	auto_close int child_end = -1;
	const int buffer_size = SOCKET_BUFFER_SIZE;
	int ends[2], error;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		return -errno;
	if (setsockopt(ends[0], SOL_SOCKET, SO_SNDBUFFORCE, &buffer_size, sizeof buffer_size) < 0)
		log_debug("cannot set the size of a socket's buffer: %m");
	child->fd = ends[0];
	child_end = ends[1];
	child->readable =
		event_new(child->group->base, child->fd, EV_READ | EV_PERSIST, on_readable, child);
	error = child->readable && event_add(child->readable, NULL) == 0
			? fork_child(child, child_end, descriptors, n)
			: -ENOMEM;
	if (error < 0) {
		disconnect(child);
		return error;
	}
	child->generation++;
	child->is_ready = false;
	child->started_ms = clock_now_ms(&system_clock);
	log_debug("%s is process %d", child->name, (int)child->pid);
	return 0;
}

static void respawn_later(struct child *child, unsigned long delay_ms)
{
	struct timeval delay = timeval_from_ms(delay_ms);

	event_add(child->respawn, &delay);
}

void child_hang_up(struct child *child)
{
	disconnect(child);
	respawn_later(child, CHILD_RESPAWN_DELAY_MS);
}

void child_expel(struct child *child, const char *what, int error)
{
	log_error("%s, process %d: %s: %s; ending it", child->name, (int)child->pid, what,
		strerror(-error));
	kill(child->pid, SIGKILL);
	disconnect(child);
}

void child_read_failed(struct child *child, const char *what, int error)
{
	if (packet_is_hung_up(error))
		child_hang_up(child);
	else if (error != -EAGAIN && error != -EINTR)
		child_expel(child, what, error);
}

static int start(struct child *child)
{
	const struct child_group_config *config = &child->group->config;

	return config->start(config->context, child);
}

/* For a child that has ended; one that has hung up and lives on would keep taking work that it
 * cannot do. */
static void on_respawn(evutil_socket_t fd, short what, void *context)
{
	struct child *child = context;
	int error;

	(void)fd;
	(void)what;
	if (child->group->is_retired)
		return;
	if (child->pid != 0) {
		child_expel(child, "it has hung up and goes on", -EPIPE);
		return;
	}
	error = start(child);
	if (error < 0) {
		log_error("cannot start %s, will try again: %s", child->name, strerror(-error));
		respawn_later(child, CHILD_RESPAWN_DELAY_MS);
	}
}

static void log_end(const struct child *child, int status, bool expected)
{
	if (WIFSIGNALED(status))
		log_error("%s, process %d, was killed by signal %d (%s)", child->name,
			(int)child->pid, WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (!expected || WEXITSTATUS(status) != 0)
		log_error("%s, process %d, ended with status %d", child->name, (int)child->pid,
			WEXITSTATUS(status));
}

static void handle_end(struct child *child, int status)
{
	struct child_group *group = child->group;
	uint64_t lived_ms = clock_now_ms(&system_clock) - child->started_ms;

	log_end(child, status, group->is_retired);
	disconnect(child);
	child->pid = 0;
	child->is_ready = false;
	if (!group->is_retired)
		respawn_later(
			child, lived_ms < CHILD_RESPAWN_DELAY_MS ? CHILD_RESPAWN_DELAY_MS : 0);
	if (group->config.ended)
		group->config.ended(group->config.context, child);
}

static void on_child_ended(evutil_socket_t signal, short what, void *context)
{
	struct child_group *group = context;

	(void)signal;
	(void)what;
	for (unsigned int i = 0; i < group->config.n; i++) {
		struct child *child = &group->children[i];
		int status;

		if (child->pid != 0 && waitpid(child->pid, &status, WNOHANG) == child->pid)
			handle_end(child, status);
	}
}

int child_start_again(struct child *child, unsigned int timeout_ms)
{
	int status, error;

	if (child->group->is_retired)
		return -ECANCELED;
	disconnect(child);
	if (child->pid != 0) {
		error = process_reap(child->pid, timeout_ms, &status);
		if (error < 0)
			return error;
		handle_end(child, status);
	}
	event_del(child->respawn);
	return start(child);
}

static int start_all(struct child_group *group)
{
	group->child_ended = evsignal_new(group->base, SIGCHLD, on_child_ended, group);
	if (!group->child_ended || event_add(group->child_ended, NULL) < 0)
		return -ENOMEM;
	for (unsigned int i = 0; i < group->config.n; i++) {
		struct child *child = &group->children[i];
		int error;

		child->respawn = evtimer_new(group->base, on_respawn, child);
		child->resume = evtimer_new(group->base, on_resume, child);
		error = child->respawn && child->resume ? start(child) : -ENOMEM;
		if (error < 0)
			return error;
	}
	return 0;
}

int child_group_new(struct event_base *base, const struct child_group_config *config,
	struct child_group **result)
{
	struct child_group *group = calloc(1, sizeof *group + config->n * sizeof(*group->children));
	int error;

	if (!group)
		return -ENOMEM;
	group->config = *config;
	group->base = base;
	for (unsigned int i = 0; i < config->n; i++) {
		struct child *child = &group->children[i];

		*child = (struct child){.group = group, .number = i, .fd = -1};
		snprintf(child->name, sizeof child->name, "%s %u", config->command, i);
	}
	error = start_all(group);
	if (error < 0)
		child_group_free(group);
	else
		*result = group;
	return error;
}

struct child *child_group_get(struct child_group *group, unsigned int number)
{
	return &group->children[number];
}

void child_group_retire(struct child_group *group)
{
	group->is_retired = true;
}

bool child_group_is_retired(const struct child_group *group)
{
	return group->is_retired;
}

bool child_group_is_running(const struct child_group *group)
{
	for (unsigned int i = 0; i < group->config.n; i++)
		if (group->children[i].pid != 0)
			return true;
	return false;
}

/* What is to be undone after it must not wait for a disk. */
static void reap_killed(const struct child *child)
{
	int status;

	if (child->pid != 0 && process_reap(child->pid, PROCESS_KILL_MS, &status) == -ETIMEDOUT)
		log_error("%s, process %d, was killed and does not end: it is left behind",
			child->name, (int)child->pid);
}

void child_group_free(struct child_group *group)
{
	if (!group)
		return;
	for (unsigned int i = 0; i < group->config.n; i++) {
		struct child *child = &group->children[i];

		disconnect(child);
		free_event(child->respawn);
		free_event(child->resume);
		if (child->pid != 0)
			kill(child->pid, SIGKILL);
	}
	for (unsigned int i = 0; i < group->config.n; i++)
		reap_killed(&group->children[i]);
	free_event(group->child_ended);
	free(group);
}
