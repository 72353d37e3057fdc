/* Starts the process that asks the server, and has it wait for the verdict on who the server is.
 * Runs in the client's one thread, called by its events. */
#include "client/request_supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/file.h"
#include "base/log.h"
#include "base/user.h"
#include "client/trust.h"

int request_supervisor_find_user(struct request_supervisor *supervisor)
{
	struct user user;

	if (user_find(NULL, &user) < 0) {
		log_error("there is no user without rights to talk to the server as: vprox has "
			  "those of "
			  "root, or there is no free user ID");
		return -ENOENT;
	}
	supervisor->user = user.id;
	supervisor->group = user.group;
	return 0;
}

void request_supervisor_cancel(struct request_supervisor *supervisor)
{
	free_event(supervisor->readable);
	free_event(supervisor->timeout);
	supervisor->readable = supervisor->timeout = NULL;
	if (supervisor->fd >= 0)
		close(supervisor->fd);
	supervisor->fd = -1;
	if (supervisor->pid > 0) {
		kill(supervisor->pid, SIGKILL);
		while (waitpid(supervisor->pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	supervisor->pid = 0;
}

static void finish(struct request_supervisor *supervisor)
{
	struct request_result result = supervisor->result;

	request_supervisor_cancel(supervisor);
	supervisor->on_result(supervisor->context, &result);
}

static void fail(
	struct request_supervisor *supervisor, enum request_outcome outcome, const char *text)
{
	supervisor->result.outcome = outcome;
	snprintf(supervisor->result.text, sizeof supervisor->result.text, "%s", text);
	finish(supervisor);
}

/* With the password, for the server that is the right one. Never waits: it may not be read. */
static void let_go_on(struct request_supervisor *supervisor)
{
	struct request_verdict verdict = {.go_on = 1};

	snprintf(verdict.password, sizeof verdict.password, "%s", supervisor->config->password);
	if (send(supervisor->fd, &verdict, sizeof verdict, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("the process that asks has ended: %s", strerror(errno));
	explicit_bzero(&verdict, sizeof verdict);
}

static void on_server(struct request_supervisor *supervisor, const struct request_server *seen)
{
	char why[2 * REQUEST_TEXT_MAX];

	if (trust_decide(supervisor->config, seen, why, sizeof why) == 0) {
		supervisor->is_trusted = true;
		let_go_on(supervisor);
		return;
	}
	log_error("%s", why);
	fail(supervisor, REQUEST_REFUSED, "refused the server");
}

/* What a server has answered that was not found to be the right one is no answer: the process is a
 * false server's by then. */
static bool is_possible(const struct request_supervisor *supervisor)
{
	return supervisor->is_trusted || supervisor->result.outcome == REQUEST_FAILED;
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	union {
		struct request_server seen;
		struct request_result result;
		char more[sizeof(struct request_server) + sizeof(struct request_result)];
	} packet;
	struct request_supervisor *supervisor = context;
	struct request_server seen;
	ssize_t n = recv(fd, &packet, sizeof packet, MSG_DONTWAIT);

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && !supervisor->is_trusted &&
		request_decode_server(&packet, (size_t)n, &seen) == 0)
		on_server(supervisor, &seen);
	else if (n > 0 && request_decode_result(&packet, (size_t)n, &supervisor->result) == 0 &&
		 is_possible(supervisor))
		finish(supervisor);
	else
		fail(supervisor, REQUEST_FAILED, "the process that asks the server broke off");
}

static void on_timeout(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	fail(context, REQUEST_FAILED, "no answer in time");
}

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

static int start_process(struct request_supervisor *supervisor)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	supervisor->pid = fork();
	if (supervisor->pid == 0)
		become_request_process(pair[1]);
	close(pair[1]);
	supervisor->fd = pair[0];
	return supervisor->pid < 0 ? -errno : 0;
}

static int send_request(
	struct request_supervisor *supervisor, const char *path, struct ipv4 address)
{
	const struct client_config *config = supervisor->config;
	struct request_order request = {
		.address = address,
		.tunnel = config->tunnel,
		.public_key = supervisor->public_key,
		.mark = supervisor->mark,
		.user = supervisor->user,
		.group = supervisor->group,
		.log_level = config->log_level,
		.log_format = config->log_format,
	};
	ssize_t n;

	snprintf(request.server, sizeof request.server, "%s", config->server);
	snprintf(request.path, sizeof request.path, "%s", path);
	if (config->ca_file)
		snprintf(request.ca_file, sizeof request.ca_file, "%s", config->ca_file);
	n = send(supervisor->fd, &request, sizeof request, MSG_NOSIGNAL);
	return n < 0 ? -errno : 0;
}

void request_supervisor_start(struct request_supervisor *supervisor, const char *path,
	struct ipv4 address, unsigned int time_ms)
{
	struct timeval time = timeval_from_ms(time_ms), now = {0};
	int error;

	request_supervisor_cancel(supervisor);
	supervisor->result = (struct request_result){.outcome = REQUEST_FAILED};
	supervisor->is_trusted = false;
	error = start_process(supervisor);
	if (error == 0)
		error = send_request(supervisor, path, address);
	supervisor->timeout = evtimer_new(supervisor->base, on_timeout, supervisor);
	supervisor->readable = event_new(
		supervisor->base, supervisor->fd, EV_READ | EV_PERSIST, on_readable, supervisor);
	if (error < 0)
		log_error("cannot start the process that asks the server: %s", strerror(-error));
	if (supervisor->timeout)
		event_add(supervisor->timeout, error < 0 ? &now : &time);
	if (supervisor->readable && error == 0)
		event_add(supervisor->readable, NULL);
}
