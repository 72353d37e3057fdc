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
#include "base/log.h"
#include "base/user.h"
#include "client/trust.h"

int fetcher_find_user(struct fetcher *fetcher)
{
	struct user user;

	if (user_find(NULL, &user) < 0) {
		log_error("there is neither a user vprox nor one nobody to talk to the server as");
		return -ENOENT;
	}
	fetcher->user = user.id;
	fetcher->group = user.group;
	return 0;
}

void fetcher_cancel(struct fetcher *fetcher)
{
	free_event(fetcher->readable);
	free_event(fetcher->timeout);
	fetcher->readable = fetcher->timeout = NULL;
	if (fetcher->fd >= 0)
		close(fetcher->fd);
	fetcher->fd = -1;
	if (fetcher->pid > 0) {
		kill(fetcher->pid, SIGKILL);
		while (waitpid(fetcher->pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	fetcher->pid = 0;
}

static void finish(struct fetcher *fetcher)
{
	struct fetch_result result = fetcher->result;

	fetcher_cancel(fetcher);
	fetcher->on_fetched(fetcher->context, &result);
}

static void fail(struct fetcher *fetcher, enum fetch_outcome outcome, const char *text)
{
	fetcher->result.outcome = outcome;
	snprintf(fetcher->result.text, sizeof fetcher->result.text, "%s", text);
	finish(fetcher);
}

static void on_seen(struct fetcher *fetcher, const struct fetch_seen *seen)
{
	static const struct fetch_verdict go_on = {1};
	char why[2 * FETCH_TEXT_MAX];

	if (trust_decide(fetcher->config, seen, why, sizeof why) == 0) {
		if (send(fetcher->fd, &go_on, sizeof go_on, MSG_NOSIGNAL) < 0)
			log_debug("the process that asks has ended: %s", strerror(errno));
		return;
	}
	log_error("%s", why);
	fail(fetcher, FETCH_REFUSED, "refused the server");
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	union {
		struct fetch_seen seen;
		struct fetch_result result;
		char more[sizeof(struct fetch_seen) + sizeof(struct fetch_result)];
	} packet;
	struct fetcher *fetcher = context;
	struct fetch_seen seen;
	ssize_t n = recv(fd, &packet, sizeof packet, MSG_DONTWAIT);

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && fetch_decode_seen(&packet, (size_t)n, &seen) == 0)
		on_seen(fetcher, &seen);
	else if (n > 0 && fetch_decode_result(&packet, (size_t)n, &fetcher->result) == 0)
		finish(fetcher);
	else
		fail(fetcher, FETCH_FAILED, "the process that asks the server broke off");
}

static void on_timeout(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	fail(context, FETCH_FAILED, "no answer in time");
}

static void become_fetch(int fd)
{
	char *const arguments[] = {"vprox", "fetch", NULL};

	if (fd == FETCH_FD ? fcntl(fd, F_SETFD, 0) < 0 : dup2(fd, FETCH_FD) < 0)
		_exit(EXIT_FAILURE);
	close_range(FETCH_FD + 1, ~0u, 0);
	execv("/proc/self/exe", arguments);
	_exit(EXIT_FAILURE);
}

static int start_process(struct fetcher *fetcher)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	fetcher->pid = fork();
	if (fetcher->pid == 0)
		become_fetch(pair[1]);
	close(pair[1]);
	fetcher->fd = pair[0];
	return fetcher->pid < 0 ? -errno : 0;
}

static int send_request(struct fetcher *fetcher, const char *path, struct ipv4 address)
{
	const struct client_config *config = fetcher->config;
	struct fetch_request request = {
		.address = address,
		.tunnel = config->tunnel,
		.public_key = fetcher->public_key,
		.mark = fetcher->mark,
		.user = fetcher->user,
		.group = fetcher->group,
		.log_level = config->log_level,
		.log_format = config->log_format,
	};
	ssize_t n;

	snprintf(request.server, sizeof request.server, "%s", config->server);
	snprintf(request.path, sizeof request.path, "%s", path);
	snprintf(request.password, sizeof request.password, "%s", config->password);
	if (config->ca_file)
		snprintf(request.ca_file, sizeof request.ca_file, "%s", config->ca_file);
	n = send(fetcher->fd, &request, sizeof request, MSG_NOSIGNAL);
	explicit_bzero(&request, sizeof request);
	return n < 0 ? -errno : 0;
}

void fetcher_start(
	struct fetcher *fetcher, const char *path, struct ipv4 address, unsigned int time_ms)
{
	struct timeval time = timeval_from_ms(time_ms), now = {0};
	int error;

	fetcher_cancel(fetcher);
	fetcher->result = (struct fetch_result){.outcome = FETCH_FAILED};
	error = start_process(fetcher);
	if (error == 0)
		error = send_request(fetcher, path, address);
	fetcher->timeout = evtimer_new(fetcher->base, on_timeout, fetcher);
	fetcher->readable =
		event_new(fetcher->base, fetcher->fd, EV_READ | EV_PERSIST, on_readable, fetcher);
	if (error < 0)
		log_error("cannot start the process that asks the server: %s", strerror(-error));
	if (fetcher->timeout)
		event_add(fetcher->timeout, error < 0 ? &now : &time);
	if (fetcher->readable && error == 0)
		event_add(fetcher->readable, NULL);
}
