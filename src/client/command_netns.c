/* Makes the namespace of `vprox exec`, starts the command in it, passes signals on to it and waits
 * for its end. Runs in the client's one thread. */
#include "client/command_netns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>
#include <linux/netlink.h>
#include <netinet/in.h>

#include "base/event.h"
#include "base/file.h"
#include "base/log.h"
#include "base/signals.h"
#include "base/sysctl.h"
#include "client/command_inbound.h"
#include "client/command_init.h"
#include "netlink/link.h"
#include "netlink/socket.h"

enum {
	PATH_SIZE = 64,
	LOOPBACK = 1, /* LOOPBACK_IFINDEX of the kernel: the first of every namespace */
};

struct command_netns {
	pid_t init; /* 0: it has ended */
	int pidfd, control, signals, echo, stream;
	struct netlink *route, *generic;
	struct event *ended, *signalled;
	command_end_fn *on_end;
	command_signal_fn *on_signal;
	void *context;
	bool is_started;
	int status;
};

/* Without those that whoever started us has had ignored: blocked, they would come all the same. */
static void fill_signals(sigset_t *set)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

	sigemptyset(set);
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (!signals_is_ignored(numbers[i]))
			sigaddset(set, numbers[i]);
}

static int open_signals(struct command_netns *netns, sigset_t *before)
{
	sigset_t set;

	fill_signals(&set);
	if (sigprocmask(SIG_BLOCK, &set, before) < 0)
		return -errno;
	netns->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return netns->signals < 0 ? -errno : 0;
}

/* As fork(2), into namespaces of its own: of processes too, so that none outlives the first. */
static int start_init(struct command_netns *netns, const struct command_plan *plan)
{
	int pair[2];
	long pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	pid = syscall(SYS_clone, CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | SIGCHLD, NULL, NULL,
		NULL, NULL);
	if (pid == 0) {
		close(pair[0]);
		command_init_run(plan, pair[1]);
	}
	close(pair[1]);
	netns->control = pair[0];
	if (pid < 0)
		return -errno;
	netns->init = (pid_t)pid;
	netns->pidfd = (int)syscall(SYS_pidfd_open, netns->init, 0);
	return netns->pidfd < 0 ? -errno : 0;
}

/* Where the kernel has none, it need not be switched off. */
static int switch_off_ipv6(void)
{
	static const char *const which[] = {"all", "default"};
	int error = 0;

	for (size_t i = 0; i < sizeof which / sizeof *which && error == 0; i++)
		error = sysctl_disable_ipv6(which[i]);
	return error;
}

/* A command without rights may ping: icmp(7), ping_group_range. It does without where that cannot
 * be had. */
static void allow_ping(void)
{
	static const char all[] = "0 2147483647";
	int fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (file_write_all(fd, all, sizeof all - 1) < 0)
		log_debug("cannot allow ping in the namespace");
	close(fd);
}

/* From inside. */
static int open_sockets(struct command_netns *netns)
{
	static const struct link_change up = {.up = true};
	int error = switch_off_ipv6();

	allow_ping();
	if (error == 0)
		error = netlink_open(NETLINK_ROUTE, &netns->route);
	if (error == 0)
		error = netlink_open(NETLINK_GENERIC, &netns->generic);
	if (error == 0)
		error = link_set(netns->route, LOOPBACK, &up);
	if (error < 0)
		return error;
	netns->echo = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
	netns->stream = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return netns->echo < 0 || netns->stream < 0 ? -errno : 0;
}

/* From inside. First of all what comes in is limited. */
static int prepare(struct command_netns *netns, const struct command_plan *plan)
{
	int error = plan->allow_inbound ? 0 : command_inbound_limit();

	return error < 0 ? error : open_sockets(netns);
}

/* The namespace, open, of a process; 0: this one. */
static int open_namespace(pid_t pid)
{
	char path[PATH_SIZE];
	int fd;

	if (pid == 0)
		snprintf(path, sizeof path, "/proc/self/ns/net");
	else
		snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* There and back again. */
static int visit(struct command_netns *netns, const struct command_plan *plan)
{
	int own = open_namespace(0), inside = own < 0 ? own : open_namespace(netns->init), error;

	error = inside < 0 ? inside : setns(inside, CLONE_NEWNET) < 0 ? -errno : 0;
	if (error == 0) {
		error = prepare(netns, plan);
		/* anywhere else than at home nothing may be done */
		if (setns(own, CLONE_NEWNET) < 0)
			abort();
	}
	if (own >= 0)
		close(own);
	if (inside >= 0)
		close(inside);
	return error;
}

static void log_failure(int error)
{
	if (error == -EPERM)
		log_error(
			"this needs the right to make namespaces (CAP_SYS_ADMIN) and to administer "
			"the network (CAP_NET_ADMIN): run it as root; in a container they may "
			"have been taken away");
	else
		log_error("cannot make the namespace: %s", strerror(-error));
}

int command_netns_open(struct command_plan *plan, struct command_netns **result)
{
	struct command_netns *netns = calloc(1, sizeof *netns);
	int error;

	if (!netns)
		return -ENOMEM;
	*netns = (struct command_netns){.pidfd = -1,
		.control = -1,
		.signals = -1,
		.echo = -1,
		.stream = -1,
		.status = COMMAND_NOT_RUN};
	error = open_signals(netns, &plan->mask);
	if (error == 0)
		error = start_init(netns, plan);
	if (error == 0)
		error = visit(netns, plan);
	if (error < 0) {
		log_failure(error);
		command_netns_free(netns);
		return error;
	}
	*result = netns;
	return 0;
}

static void reap(struct command_netns *netns)
{
	int status;
	pid_t pid;

	do
		pid = waitpid(netns->init, &status, 0);
	while (pid < 0 && errno == EINTR);
	netns->init = 0;
	if (pid > 0)
		netns->status =
			WIFEXITED(status) ? WEXITSTATUS(status) : COMMAND_KILLED + WTERMSIG(status);
}

static void on_ended(evutil_socket_t fd, short what, void *context)
{
	struct command_netns *netns = context;

	(void)fd;
	(void)what;
	reap(netns);
	netns->on_end(netns->context);
}

/* What comes from a terminal has come to the command too, and is its to answer. */
static void on_signalled(evutil_socket_t fd, short what, void *context)
{
	struct command_netns *netns = context;
	struct signalfd_siginfo info;

	(void)what;
	if (read(fd, &info, sizeof info) != sizeof info)
		return;
	if (!netns->is_started) {
		netns->status = COMMAND_KILLED + (int)info.ssi_signo;
		netns->on_signal(netns->context, (int)info.ssi_signo);
	} else if (info.ssi_code != SI_KERNEL && netns->init > 0) {
		sigqueue(netns->init, (int)info.ssi_signo, (union sigval){0});
	}
}

int command_netns_watch(struct command_netns *netns, struct event_base *base, command_end_fn *end,
	command_signal_fn *signalled, void *context)
{
	netns->on_end = end;
	netns->on_signal = signalled;
	netns->context = context;
	netns->ended = event_new(base, netns->pidfd, EV_READ, on_ended, netns);
	netns->signalled =
		event_new(base, netns->signals, EV_READ | EV_PERSIST, on_signalled, netns);
	return netns->ended && netns->signalled && event_add(netns->ended, NULL) == 0 &&
			       event_add(netns->signalled, NULL) == 0
		       ? 0
		       : -ENOMEM;
}

void command_netns_take_netlink(
	struct command_netns *netns, struct netlink **route, struct netlink **generic)
{
	*route = netns->route;
	*generic = netns->generic;
	netns->route = netns->generic = NULL;
}

int command_netns_echo_socket(const struct command_netns *netns)
{
	return netns->echo;
}

int command_netns_stream_socket(const struct command_netns *netns)
{
	return netns->stream;
}

pid_t command_netns_pid(const struct command_netns *netns)
{
	return netns->init;
}

int command_netns_start(struct command_netns *netns, const struct resolvers *resolvers)
{
	const struct command_go go = {*resolvers};

	if (netns->is_started)
		return 0;
	netns->is_started = true;
	return send(netns->control, &go, sizeof go, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

bool command_netns_is_started(const struct command_netns *netns)
{
	return netns->is_started;
}

int command_netns_status(const struct command_netns *netns)
{
	return netns->status;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void command_netns_close(struct command_netns *netns)
{
	int status;

	if (!netns)
		return;
	free_event(netns->ended);
	free_event(netns->signalled);
	netns->ended = netns->signalled = NULL;
	if (netns->init > 0) {
		status = netns->status;
		kill(netns->init, SIGKILL);
		reap(netns);
		netns->status = status; /* that it was killed now says nothing */
	}
}

void command_netns_free(struct command_netns *netns)
{
	if (!netns)
		return;
	command_netns_close(netns);
	netlink_close(netns->route);
	netlink_close(netns->generic);
	close_fd(&netns->pidfd);
	close_fd(&netns->control);
	close_fd(&netns->signals);
	close_fd(&netns->echo);
	close_fd(&netns->stream);
	free(netns);
}
