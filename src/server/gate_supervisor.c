/*
 * Starts the gates' processes, talks with them and replaces those that die. Runs in the broker;
 * what stands between fork() and execve() runs in the new process.
 */
#include "server/gate_supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

enum {
	/* A gate that lived shorter than this is replaced only after the same time, lest a fault
	   keeps the host busy. */
	RESPAWN_DELAY_MS = 1000,
	EXEC_FAILED = 127,
	/* Of answers to a gate: enough for all that it may ask for at a time, whatever the host's
	   default is. */
	SOCKET_BUFFER_SIZE = 208 * 1024,
	N_PASSED_ON = 6,
};

/* Of the environment. */
static const char *const passed_on[N_PASSED_ON] = {"OPENSSL_CONF=", "OPENSSL_MODULES=",
	"LD_LIBRARY_PATH=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "LSAN_OPTIONS="};
/* The broker alone acts on these; it tells the gates. */
static const int stop_signals[] = {SIGTERM, SIGINT, SIGHUP};

struct gate_child {
	struct gate_supervisor *supervisor;
	unsigned int number;
	uint64_t generation; /* counts the processes that had this number */
	pid_t pid; /* 0: none is running */
	int fd;
	bool is_ready;
	uint64_t started_ms;
	struct event *readable;
	struct event *respawn;
};

struct gate_supervisor {
	struct gate_supervisor_config config;
	struct event_base *base;
	struct event *child_ended;
	bool were_ready; /* all of them, at least once */
	bool draining;
	struct gate_child gates[];
};

/* In the child: everything first goes above all targets, so that no dup2() hits one that is still
 * needed. */
static int place_descriptors(const int *sources, int n)
{
	int end = GATE_FD_BROKER + n;
	int copies[GATE_FD_FIRST_LISTENER + GATE_MAX_ENDPOINTS];

	for (int i = 0; i < n; i++) {
		copies[i] = fcntl(sources[i], F_DUPFD, end);
		if (copies[i] < 0)
			return -errno;
	}
	for (int i = 0; i < n; i++)
		if (dup2(copies[i], GATE_FD_BROKER + i) < 0)
			return -errno;
	syscall(SYS_close_range, end, ~0u, 0);
	return 0;
}

/* Of our environment, only what the libraries need: what else is in it, such as an
 * operator's credentials, is none of a gate's business. */
static void pick_environment(char *environment[N_PASSED_ON + 1])
{
	size_t n = 0;

	for (char **variable = environ; *variable; variable++)
		for (size_t i = 0; i < N_PASSED_ON && n < N_PASSED_ON; i++)
			if (strncmp(*variable, passed_on[i], strlen(passed_on[i])) == 0)
				environment[n++] = *variable;
	environment[n] = NULL;
}

/* A new image, not a fork alone: a gate must not have the broker's memory, with the keys and tables
 * in it. */
static void run_gate(const int *sources, int n_sources)
{
	static char *const arguments[] = {"vprox", "gate", NULL};
	char *environment[N_PASSED_ON + 1];
	sigset_t none;
	int error = place_descriptors(sources, n_sources);

	for (size_t i = 0; i < sizeof stop_signals / sizeof *stop_signals; i++)
		signal(stop_signals[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	pick_environment(environment);
	if (error == 0) {
		execve("/proc/self/exe", arguments, environment);
		error = -errno;
	}
	log_error("a new process cannot become a gate: %s", strerror(-error));
	_exit(EXEC_FAILED);
}

/*
 * A signal for the whole process group (Ctrl-C) must not reach the broker a second time by way of a
 * child that still has its handlers, and the pipe behind them: none is delivered to the child until
 * it ignores them, as a gate does.
 */
static pid_t fork_without_signals(void)
{
	sigset_t all, before;
	pid_t pid;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid != 0)
		sigprocmask(SIG_SETMASK, &before, NULL);
	return pid;
}

static int fork_gate(struct gate_child *gate, int broker_fd, int config_fd)
{
	const struct gate_supervisor_config *config = &gate->supervisor->config;
	int n_listeners = (int)config->settings->config.n_endpoints;
	int n = GATE_FD_FIRST_LISTENER - GATE_FD_BROKER + n_listeners;
	auto_free int *sources = calloc((size_t)n, sizeof *sources);
	pid_t pid;

	if (!sources)
		return -ENOMEM;
	sources[0] = broker_fd;
	sources[1] = config_fd;
	memcpy(sources + 2, config->listeners, (size_t)n_listeners * sizeof *sources);
	pid = fork_without_signals();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		run_gate(sources, n);
	gate->pid = pid;
	return 0;
}

static void on_readable(evutil_socket_t fd, short what, void *context);

static int start_gate(struct gate_child *gate)
{
	struct gate_supervisor *supervisor = gate->supervisor;
	auto_close int config_fd = -1;
	auto_close int gate_end = -1;
	const int buffer_size = SOCKET_BUFFER_SIZE;
	int ends[2], error;

	supervisor->config.settings->config.gate_number = gate->number;
	config_fd = gate_config_write(supervisor->config.settings);
	if (config_fd < 0)
		return config_fd;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		return -errno;
	if (setsockopt(ends[0], SOL_SOCKET, SO_SNDBUFFORCE, &buffer_size, sizeof buffer_size) < 0)
		log_debug("cannot set the size of a gate's socket: %m");
	gate->fd = ends[0];
	gate_end = ends[1];
	gate->readable =
		event_new(supervisor->base, gate->fd, EV_READ | EV_PERSIST, on_readable, gate);
	error = gate->readable && event_add(gate->readable, NULL) == 0
			? fork_gate(gate, gate_end, config_fd)
			: -ENOMEM;
	if (error < 0) {
		if (gate->readable)
			event_free(gate->readable);
		gate->readable = NULL;
		close(gate->fd);
		gate->fd = -1;
		return error;
	}
	gate->generation++;
	gate->is_ready = false;
	gate->started_ms = clock_now_ms(&system_clock);
	log_debug("gate %u is process %d", gate->number, (int)gate->pid);
	return 0;
}

static void respawn_later(struct gate_child *gate, unsigned long delay_ms)
{
	struct timeval delay = timeval_from_ms(delay_ms);

	event_add(gate->respawn, &delay);
}

/* Hangs up; for a gate that has ended, or is to end. */
static void disconnect(struct gate_child *gate)
{
	if (!gate->readable)
		return;
	event_free(gate->readable);
	gate->readable = NULL;
	close(gate->fd);
	gate->fd = -1;
}

/* A gate that breaks the rules is ended at once. */
static void expel(struct gate_child *gate, const char *what, int error)
{
	log_error("gate %u, process %d: %s: %s; ending it", gate->number, (int)gate->pid, what,
		strerror(-error));
	kill(gate->pid, SIGKILL);
	disconnect(gate);
}

/* For a gate that has ended; one that has hung up and lives on would keep taking connections that
 * it can ask nothing for. */
static void on_respawn(evutil_socket_t fd, short what, void *context)
{
	struct gate_child *gate = context;
	int error;

	(void)fd;
	(void)what;
	if (gate->supervisor->draining)
		return;
	if (gate->pid != 0) {
		expel(gate, "it has hung up and goes on", -EPIPE);
		return;
	}
	error = start_gate(gate);
	if (error < 0) {
		log_error(
			"cannot start gate %u, will try again: %s", gate->number, strerror(-error));
		respawn_later(gate, RESPAWN_DELAY_MS);
	}
}

static bool is_hung_up(int error)
{
	return error == -EPIPE || error == -ECONNRESET;
}

static void record_ready(struct gate_child *gate)
{
	struct gate_supervisor *supervisor = gate->supervisor;

	gate->is_ready = true;
	for (unsigned int i = 0; i < supervisor->config.n_gates; i++)
		if (!supervisor->gates[i].is_ready)
			return;
	if (!supervisor->were_ready)
		supervisor->config.on_ready(supervisor->config.context);
	supervisor->were_ready = true;
}

/* One request a call, so that no gate keeps the others waiting. */
static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct gate_child *gate = context;
	struct gate_supervisor *supervisor = gate->supervisor;
	struct ipc_request request;
	int error = ipc_receive_request(
		fd, (uint16_t)supervisor->config.settings->config.n_endpoints, &request);

	(void)what;
	if (error == 0 && request.operation == IPC_READY) {
		record_ready(gate);
	} else if (error == 0) {
		struct reply_to reply_to = {gate->number, gate->generation, request.id};

		supervisor->config.on_request(supervisor->config.context, &request, &reply_to);
	} else if (is_hung_up(error)) {
		disconnect(gate);
		respawn_later(gate, RESPAWN_DELAY_MS);
	} else if (error != -EAGAIN && error != -EINTR) {
		expel(gate, "cannot read its request", error);
	}
}

void gate_supervisor_answer(struct gate_supervisor *supervisor, const struct reply_to *reply_to,
	enum ipc_status status, struct ipv4 address)
{
	struct gate_child *gate = &supervisor->gates[reply_to->gate];
	const struct ipc_reply reply = {
		.version = IPC_VERSION,
		.kind = IPC_ANSWER,
		.status = (uint16_t)status,
		.id = reply_to->id,
		.address = address,
	};
	int error;

	if (!gate->readable || gate->generation != reply_to->generation)
		return;
	error = ipc_send_reply(gate->fd, &reply);
	if (error < 0 && !is_hung_up(error))
		expel(gate, "it does not take its answers", error);
}

struct gate_status gate_supervisor_status(
	const struct gate_supervisor *supervisor, unsigned int number)
{
	const struct gate_child *gate = &supervisor->gates[number];

	return (struct gate_status){
		.pid = gate->pid,
		.is_ready = gate->is_ready && gate->pid != 0,
		.n_restarts = gate->generation > 0 ? gate->generation - 1 : 0,
		.started_ms = gate->started_ms,
	};
}

static void log_end(const struct gate_child *gate, int status, bool expected)
{
	if (WIFSIGNALED(status))
		log_error("gate %u, process %d, was killed by signal %d (%s)", gate->number,
			(int)gate->pid, WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (!expected || WEXITSTATUS(status) != 0)
		log_error("gate %u, process %d, ended with status %d", gate->number, (int)gate->pid,
			WEXITSTATUS(status));
}

static bool any_running(const struct gate_supervisor *supervisor)
{
	for (unsigned int i = 0; i < supervisor->config.n_gates; i++)
		if (supervisor->gates[i].pid != 0)
			return true;
	return false;
}

static void handle_end(struct gate_child *gate, int status)
{
	struct gate_supervisor *supervisor = gate->supervisor;
	uint64_t lived_ms = clock_now_ms(&system_clock) - gate->started_ms;

	log_end(gate, status, supervisor->draining);
	disconnect(gate);
	gate->pid = 0;
	if (!supervisor->draining)
		respawn_later(gate, lived_ms < RESPAWN_DELAY_MS ? RESPAWN_DELAY_MS : 0);
	else if (!any_running(supervisor))
		supervisor->config.on_drained(supervisor->config.context);
}

static void on_child_ended(evutil_socket_t signal, short what, void *context)
{
	struct gate_supervisor *supervisor = context;

	(void)signal;
	(void)what;
	for (unsigned int i = 0; i < supervisor->config.n_gates; i++) {
		struct gate_child *gate = &supervisor->gates[i];
		int status;

		if (gate->pid != 0 && waitpid(gate->pid, &status, WNOHANG) == gate->pid)
			handle_end(gate, status);
	}
}

static int start_all(struct gate_supervisor *supervisor)
{
	supervisor->child_ended =
		evsignal_new(supervisor->base, SIGCHLD, on_child_ended, supervisor);
	if (!supervisor->child_ended || event_add(supervisor->child_ended, NULL) < 0)
		return -ENOMEM;
	for (unsigned int i = 0; i < supervisor->config.n_gates; i++) {
		struct gate_child *gate = &supervisor->gates[i];
		int error;

		gate->respawn = evtimer_new(supervisor->base, on_respawn, gate);
		error = gate->respawn ? start_gate(gate) : -ENOMEM;
		if (error < 0)
			return error;
	}
	return 0;
}

int gate_supervisor_new(struct event_base *base, const struct gate_supervisor_config *config,
	struct gate_supervisor **result)
{
	struct gate_supervisor *supervisor =
		calloc(1, sizeof *supervisor + config->n_gates * sizeof(*supervisor->gates));
	int error;

	if (!supervisor)
		return -ENOMEM;
	supervisor->config = *config;
	supervisor->base = base;
	for (unsigned int i = 0; i < config->n_gates; i++)
		supervisor->gates[i] =
			(struct gate_child){.supervisor = supervisor, .number = i, .fd = -1};
	error = start_all(supervisor);
	if (error < 0) {
		log_error("cannot start the gates: %s", strerror(-error));
		gate_supervisor_free(supervisor);
		return error;
	}
	*result = supervisor;
	return 0;
}

void gate_supervisor_drain(struct gate_supervisor *supervisor)
{
	const struct ipc_reply drain = {.version = IPC_VERSION, .kind = IPC_DRAIN};

	supervisor->draining = true;
	for (unsigned int i = 0; i < supervisor->config.n_gates; i++) {
		struct gate_child *gate = &supervisor->gates[i];
		int error = gate->readable ? ipc_send_reply(gate->fd, &drain) : 0;

		if (error < 0 && !is_hung_up(error))
			expel(gate, "it cannot be told to finish", error);
	}
	if (!any_running(supervisor))
		supervisor->config.on_drained(supervisor->config.context);
}

void gate_supervisor_free(struct gate_supervisor *supervisor)
{
	if (!supervisor)
		return;
	for (unsigned int i = 0; i < supervisor->config.n_gates; i++) {
		struct gate_child *gate = &supervisor->gates[i];

		disconnect(gate);
		if (gate->respawn)
			event_free(gate->respawn);
		if (gate->pid != 0) {
			kill(gate->pid, SIGKILL);
			waitpid(gate->pid, NULL, 0);
		}
	}
	if (supervisor->child_ended)
		event_free(supervisor->child_ended);
	free(supervisor);
}
