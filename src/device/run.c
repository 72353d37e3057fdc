/*
 * The device's process: what it waits for is served one after the other by its one control thread,
 * which is the thread that starts here.
 */
#include "device/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cache_line.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/rights.h"
#include "base/signals.h"
#include "device/control_loop.h"
#include "device/handover_give.h"
#include "device/handover_socket.h"
#include "device/handover_take.h"
#include "device/links.h"
#include "device/setup.h"
#include "device/uapi/uapi.h"
#include "device/uapi/uapi_socket.h"

enum {
	EVENTS = 16,
	WAIT_MS = 2000,
	WAIT_STEP_MS = 5,
	NS_PER_MS = 1000000,
	PATH_SIZE = sizeof(((struct sockaddr_un *)NULL)->sun_path),
};

/* What the control thread waits for. The control socket's are told apart by pointers of its own. */
struct loop {
	struct device device;
	struct uapi *uapi;
	struct handover_files files; /* without the connections */
	int epoll, signals;
	int socket_watch; /* of the control socket's file; negative: there is none */
	uid_t user; /* who started it: he may have it replaced */
	char control_path[PATH_SIZE], handover_path[PATH_SIZE];
	bool is_given; /* another process has the device */
};

static int watch(int epoll, int fd, void *pointer)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = pointer};

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int open_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	/* blocked, it would come all the same */
	if (!signals_is_ignored(SIGHUP))
		sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* About an interface that cannot be made; "" if it is not known. */
static const char *what_to_do(int error)
{
	return error == -EBUSY ? ": there is an interface of that name already"
			       : rights_tun_advice(error);
}

/* Another device of the name may need a moment to end. */
static int make_interface(struct device *device, const struct device_run_options *options)
{
	static const struct timespec pause = {.tv_nsec = WAIT_STEP_MS * NS_PER_MS};
	int error = device_make_interface(device, options->name, options->workers);

	for (int ms = 0; error == -EBUSY && ms < WAIT_MS; ms += WAIT_STEP_MS) {
		nanosleep(&pause, NULL);
		error = device_make_interface(device, options->name, options->workers);
	}
	if (error < 0)
		log_error("%s: cannot make the interface with /dev/net/tun: %s%s", options->name,
			strerror(-error), what_to_do(error));
	return error;
}

static int find_paths(struct loop *loop, const char *name)
{
	int error = uapi_path(name, loop->control_path, PATH_SIZE);

	return error < 0 ? error : handover_path(name, loop->handover_path, PATH_SIZE);
}

/* Both sockets, at their paths. */
static int listen_at_paths(struct loop *loop)
{
	const char *name = loop->device.shared.tun.name;
	int error = find_paths(loop, name);

	loop->files.control_listener = error < 0 ? error : uapi_listen(loop->control_path);
	loop->files.listener = loop->files.control_listener < 0
				       ? loop->files.control_listener
				       : handover_listen(loop->handover_path);
	if (loop->files.listener >= 0)
		return 0;
	log_error("%s: cannot open the control socket in /run/wireguard: %s%s", name,
		strerror(-loop->files.listener),
		loop->files.listener == -EADDRINUSE
			? ": another device of that name listens there, maybe in another network "
			  "namespace with the same /run: give this one another name, or a /run of "
			  "its own"
			: "");
	return loop->files.listener;
}

/* Its end is the device's (wireguard.com/xplatform). Where there are no more watches to be had, the
 * device does without. */
static int watch_control_socket(struct loop *loop)
{
	loop->socket_watch = uapi_socket_watch();
	if (loop->socket_watch >= 0)
		return watch(loop->epoll, loop->socket_watch, &loop->socket_watch);
	log_warning("%s: cannot watch for the removal of the control socket: %s",
		loop->device.shared.tun.name, strerror(-loop->socket_watch));
	return 0;
}

/* Once the device has all its files. */
static int watch_all(struct loop *loop)
{
	int error;

	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	loop->signals = open_signals();
	loop->uapi = loop->epoll < 0
			     ? NULL
			     : uapi_new(&loop->device, loop->files.control_listener, loop->epoll);
	if (!loop->uapi || loop->signals < 0)
		return -ENOMEM;
	error = watch(loop->epoll, loop->signals, &loop->signals);
	if (error == 0)
		error = watch(loop->epoll, loop->device.shared.wake, &loop->device.shared.wake);
	if (error == 0)
		error = watch(loop->epoll, loop->device.links, &loop->device.links);
	if (error == 0)
		error = watch(loop->epoll, loop->device.sleep.timer, &loop->device.sleep);
	if (error == 0)
		error = watch(loop->epoll, loop->files.listener, &loop->files.listener);
	return error < 0 ? error : watch_control_socket(loop);
}

/* All that is to be made before the device is ready. */
static int prepare(struct loop *loop, const struct device_run_options *options)
{
	const char *const paths[PRIVILEGED_HELPER_PATHS] = {
		loop->control_path, loop->handover_path};
	int error = make_interface(&loop->device, options);

	if (error == 0)
		error = listen_at_paths(loop);
	if (error < 0)
		return error;
	error = device_init(&loop->device, paths);
	if (error < 0) {
		log_error("%s: cannot make the device: %s", loop->device.shared.tun.name,
			strerror(-error));
		unlink(loop->control_path);
		unlink(loop->handover_path);
		return error;
	}
	loop->device.no_fast_path = options->no_bpf;
	loop->files.notify = notify_open();
	return watch_all(loop);
}

/* Returns true once another process has the device. */
static bool give(struct loop *loop)
{
	struct handover_files files = loop->files;
	pid_t pid;
	int connection = handover_accept(loop->files.listener, loop->user, &pid);

	if (connection < 0) {
		if (connection != -EAGAIN)
			log_warning("%s: cannot accept who is to take its place: %s",
				loop->device.shared.tun.name, strerror(-connection));
		return false;
	}
	files.n_connections =
		uapi_connections(loop->uapi, files.connections, HANDOVER_CONNECTIONS_MAX);
	return handover_give(&loop->device, &files, connection, pid, uapi_is_busy(loop->uapi)) == 0;
}

/* Whether the device's end has come from outside. */
static bool is_told_to_end(struct loop *loop, const void *pointer)
{
	const char *name = loop->device.shared.tun.name;

	if (pointer == &loop->signals) {
		log_info("%s: stopping", name);
		return true;
	}
	if (pointer == &loop->socket_watch &&
		uapi_socket_is_gone(loop->socket_watch, loop->control_path)) {
		log_info("%s: the control socket was removed", name);
		return true;
	}
	return false;
}

/* Of the control socket: what is nobody else's. */
static bool is_uapis(const struct loop *loop, const void *pointer)
{
	return pointer != &loop->device.links && pointer != &loop->device.shared.wake &&
	       pointer != &loop->device.sleep && pointer != &loop->socket_watch;
}

/* What epoll has found. Returns false if the process is to end. */
static bool serve_event(struct loop *loop, void *pointer)
{
	if (is_told_to_end(loop, pointer))
		return false;
	if (pointer == &loop->files.listener) {
		loop->is_given = give(loop);
		return !loop->is_given;
	}
	if (is_uapis(loop, pointer))
		uapi_serve(loop->uapi, pointer);
	return true;
}

/* Until the next deadline, or the next try to say what the log has lost. */
static int timeout_ms(const struct device *device)
{
	int deadline = control_loop_timeout_ms(device);

	if (log_say_lost() && (deadline < 0 || deadline > LOG_RETRY_MS))
		return LOG_RETRY_MS;
	return deadline;
}

static void serve(struct loop *loop)
{
	struct epoll_event events[EVENTS];
	bool go_on = true;

	while (go_on) {
		int n = epoll_wait(loop->epoll, events, EVENTS, timeout_ms(&loop->device));

		/* Who sets the interface up and then asks for something expects it to be up. */
		links_read(&loop->device);
		for (int i = 0; i < n; i++)
			if (!serve_event(loop, events[i].data.ptr))
				return;
		go_on = control_loop_run(&loop->device);
		if (!go_on)
			log_info("%s: the interface was deleted", loop->device.shared.tun.name);
	}
}

/* Leaves the terminal and the caller: a process of its own, in the root folder, that tells when it
 * is ready. Returns the pipe to tell it in, in the child; the parent does not return. */
static int detach(void)
{
	char ready;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	switch (fork()) {
	case -1:
		return -errno;
	case 0:
		close(fds[0]);
		setsid();
		return fds[1];
	default:
		close(fds[1]);
		_exit(read(fds[0], &ready, sizeof ready) == sizeof ready ? EXIT_SUCCESS
									 : EXIT_FAILURE);
	}
}

/* A service manager watches its own children only: what is to be a service's main process must not
 * be the child of the command that reloads it. */
static int detach_from_parent(void)
{
	int ready = detach();

	if (ready < 0)
		return ready;
	switch (fork()) {
	case -1:
		return -errno;
	case 0:
		return ready;
	default:
		_exit(EXIT_SUCCESS);
	}
}

/* Standard files of a process that has left its caller; log: where log lines go, -1: nowhere. */
static void replace_standard_files(int log)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int i = 0; i <= STDERR_FILENO && null >= 0; i++)
		dup2(i == STDERR_FILENO && log >= 0 ? log : null, i);
	if (null > STDERR_FILENO)
		close(null);
}

static void report_ready(int fd)
{
	static const char ready = 1;

	if (write(fd, &ready, sizeof ready) < 0) {
		/* the caller is gone */
	}
	close(fd);
}

/* A new device. ready: the pipe to tell it in, or -1. */
static int begin(struct loop *loop, const struct device_run_options *options, int ready)
{
	int error = prepare(loop, options);

	if (error < 0)
		return error;
	if (ready >= 0) {
		replace_standard_files(-1);
		report_ready(ready);
	}
	if (loop->files.notify >= 0)
		notify_send(loop->files.notify, "READY=1");
	error = device_start(&loop->device);
	if (error < 0) {
		log_error("%s: cannot start: %s", options->name, strerror(-error));
		return error;
	}
	device_begin(&loop->device);
	log_info("%s: ready, UDP port %u", loop->device.shared.tun.name, loop->device.port);
	return 0;
}

/* All but the sessions, while the other process carries packets. Then the rights are given up, and
 * log lines go to where the other's go. */
static int adopt(struct loop *loop, struct handover_take *take, int ready)
{
	const char *const paths[PRIVILEGED_HELPER_PATHS] = {
		loop->control_path, loop->handover_path};
	int error = device_adopt(&loop->device, &take->description, &take->device, paths);

	if (error == 0)
		error = handover_take_peers(take, &loop->device);
	if (error == 0)
		error = device_adopt_fast_path(&loop->device, &take->description, &take->device);
	loop->files = take->files;
	loop->files.n_connections = 0;
	if (error == 0)
		error = watch_all(loop);
	for (unsigned int i = 0; i < take->files.n_connections && error == 0; i++)
		error = uapi_adopt(loop->uapi, take->files.connections[i]);
	if (error == 0 && ready >= 0) {
		replace_standard_files(take->files.log);
		log_open();
	}
	if (take->files.log > STDERR_FILENO)
		close(take->files.log);
	return error == 0 ? device_start(&loop->device) : error;
}

static const char *why_not(int error)
{
	switch (error) {
	case -ENOENT:
	case -ECONNREFUSED:
		return "there is no such device here, or one that cannot be replaced yet";
	case -EXDEV:
		return "it was started in another network namespace: to be replaced from there";
	case -EPROTONOSUPPORT:
		return "it is of a version that does not go together with this one";
	default:
		return strerror(-error);
	}
}

/* The device of another process. */
static int replace(struct loop *loop, const struct device_run_options *options, int ready)
{
	struct handover_take take = {.channel.fd = -1, .channel.received_fd = -1};
	int error = find_paths(loop, options->name);

	if (error == 0)
		error = handover_take_begin(&take, loop->handover_path);
	if (error == 0)
		error = adopt(loop, &take, ready);
	if (error == 0)
		error = handover_take_sessions(&take);
	if (error == 0)
		error = handover_take_finish(&take);
	if (error == 0) {
		device_go_on(&loop->device);
		log_info("%s: taken over, UDP port %u", loop->device.shared.tun.name,
			loop->device.port);
	} else {
		log_error("%s: cannot take it over: %s", options->name, why_not(error));
	}
	handover_take_free(&take);
	if (error == 0 && ready >= 0)
		report_ready(ready);
	return error;
}

static void end(struct loop *loop)
{
	if (loop->is_given)
		device_leave(&loop->device);
	else
		device_free(&loop->device);
	uapi_free(loop->uapi);
	close(loop->files.listener);
	cache_line_free(loop);
}

int device_process(const struct device_run_options *options)
{
	struct loop *loop = cache_line_calloc(1, sizeof *loop);
	int ready = options->foreground ? -1 : options->replace ? detach_from_parent() : detach();
	int error = -ENOMEM;

	/* The reader of the log may go; the tunnels must not go with it. */
	signal(SIGPIPE, SIG_IGN);
	log_open();
	if (!options->foreground && ready < 0) {
		log_error("%s: cannot leave the foreground: %s", options->name, strerror(-ready));
		cache_line_free(loop);
		return EXIT_FAILURE;
	}
	if (loop) {
		loop->user = geteuid();
		loop->files.log = STDERR_FILENO;
		error = options->replace ? replace(loop, options, ready)
					 : begin(loop, options, ready);
	}
	if (error < 0)
		return EXIT_FAILURE;
	loop->files.log = STDERR_FILENO;
	serve(loop);
	end(loop);
	return EXIT_SUCCESS;
}
