/* Starts, hears and ends request processes. Runs in the client's one thread, called by its events.
 */
#include "client/request_attempt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/event.h"
#include "base/file.h"
#include "client/request_message.h"

static void become_request_process(int fd)
{
	char *const arguments[] = {"vprox", "request", NULL};

	if (fd == REQUEST_FD ? fcntl(fd, F_SETFD, 0) < 0 : dup2(fd, REQUEST_FD) < 0)
		_exit(EXIT_FAILURE);
	close_range(REQUEST_FD + 1, ~0u, 0);
	file_close_input_and_output();
	execv("/proc/self/exe", arguments);
	_exit(EXIT_FAILURE);
}

static int start_process(struct request_attempt *attempt)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	attempt->pid = fork();
	if (attempt->pid == 0)
		become_request_process(pair[1]);
	close(pair[1]);
	attempt->fd = pair[0];
	return attempt->pid < 0 ? -errno : 0;
}

static void on_event(evutil_socket_t fd, short what, void *context)
{
	struct request_attempt *attempt = context;

	(void)fd;
	(void)what;
	attempt->readable(attempt);
}

int request_attempt_start(struct request_attempt *attempt, struct event_base *base,
	const struct request_order *order, request_attempt_fn *readable)
{
	int error;

	attempt->fd = -1;
	attempt->readable = readable;
	error = start_process(attempt);
	if (error == 0 && send(attempt->fd, order, sizeof *order, MSG_NOSIGNAL) < 0)
		error = -errno;
	if (error == 0) {
		attempt->event =
			event_new(base, attempt->fd, EV_READ | EV_PERSIST, on_event, attempt);
		if (!attempt->event || event_add(attempt->event, NULL) < 0)
			error = -ENOMEM;
	}
	if (error < 0)
		request_attempt_end(attempt);
	return error;
}

bool request_attempt_runs(const struct request_attempt *attempt)
{
	return attempt->pid > 0;
}

ssize_t request_attempt_receive(struct request_attempt *attempt, void *packet, size_t size)
{
	ssize_t n = recv(attempt->fd, packet, size, MSG_DONTWAIT);

	return n >= 0 ? n : errno == EINTR ? -EAGAIN : -errno;
}

int request_attempt_send(struct request_attempt *attempt, const void *packet, size_t size)
{
	return send(attempt->fd, packet, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

void request_attempt_end(struct request_attempt *attempt)
{
	free_event(attempt->event);
	attempt->event = NULL;
	if (attempt->fd >= 0)
		close(attempt->fd);
	attempt->fd = -1;
	if (attempt->pid > 0) {
		kill(attempt->pid, SIGKILL);
		while (waitpid(attempt->pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	attempt->pid = 0;
}
