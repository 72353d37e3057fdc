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

#include "base/log.h"
#include "base/notify.h"
#include "device/control_loop.h"
#include "device/links.h"
#include "device/setup.h"
#include "device/uapi/uapi.h"
#include "device/uapi/uapi_socket.h"

enum {
	EVENTS = 16,
	WAIT_MS = 2000,
	WAIT_STEP_MS = 5,
	NS_PER_MS = 1000000,
};

/* What the control thread waits for. The control socket's are told apart by pointers of its own. */
struct loop {
	struct device device;
	struct uapi *uapi;
	int epoll, signals;
	int socket_watch; /* of the control socket's file; negative: there is none */
	char socket_path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
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
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	return fd < 0 ? -errno : fd;
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
		log_error("%s: cannot make the interface with /dev/net/tun: %s", options->name,
			strerror(-error));
	return error;
}

static int open_control_socket(struct loop *loop)
{
	const char *name = loop->device.shared.tun.name;
	int listener = uapi_listen(name, loop->socket_path, sizeof loop->socket_path);

	if (listener < 0)
		log_error("%s: cannot open the control socket in /run/wireguard: %s", name,
			strerror(-listener));
	return listener;
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

static int prepare_loop(struct loop *loop, int listener)
{
	int error;

	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	loop->signals = open_signals();
	loop->uapi = loop->epoll < 0 ? NULL : uapi_new(&loop->device, listener, loop->epoll);
	if (!loop->uapi || loop->signals < 0)
		return -ENOMEM;
	error = watch(loop->epoll, loop->signals, &loop->signals);
	if (error == 0)
		error = watch(loop->epoll, loop->device.shared.wake, &loop->device.shared.wake);
	if (error == 0)
		error = watch(loop->epoll, loop->device.links, &loop->device.links);
	if (error == 0)
		error = watch(loop->epoll, loop->device.sleep.timer, &loop->device.sleep);
	return error < 0 ? error : watch_control_socket(loop);
}

/* All that is to be made before the device is ready. */
static int prepare(struct loop *loop, const struct device_run_options *options)
{
	int error = make_interface(&loop->device, options), listener;

	if (error < 0)
		return error;
	listener = open_control_socket(loop);
	if (listener < 0)
		return listener;
	error = device_init(&loop->device, loop->socket_path);
	if (error < 0) {
		log_error("%s: cannot make the device: %s", loop->device.shared.tun.name,
			strerror(-error));
		close(listener);
		unlink(loop->socket_path);
		return error;
	}
	loop->device.no_fast_path = options->no_bpf;
	return prepare_loop(loop, listener);
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
		uapi_socket_is_gone(loop->socket_watch, loop->socket_path)) {
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
	const char *name = loop->device.shared.tun.name;
	bool go_on = true;

	while (go_on) {
		int n = epoll_wait(loop->epoll, events, EVENTS, timeout_ms(&loop->device));

		/* Who sets the interface up and then asks for something expects it to be up. */
		links_read(&loop->device);
		for (int i = 0; i < n; i++) {
			void *pointer = events[i].data.ptr;

			if (is_told_to_end(loop, pointer))
				return;
			if (is_uapis(loop, pointer))
				uapi_serve(loop->uapi, pointer);
		}
		go_on = control_loop_run(&loop->device);
		if (!go_on)
			log_info("%s: the interface was deleted", name);
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

static void report_ready(int fd)
{
	static const char ready = 1;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int i = 0; i <= STDERR_FILENO && null >= 0; i++)
		dup2(null, i);
	if (null > STDERR_FILENO)
		close(null);
	if (write(fd, &ready, sizeof ready) < 0) {
		/* the caller is gone */
	}
	close(fd);
}

int device_process(const struct device_run_options *options)
{
	struct loop *loop = calloc(1, sizeof *loop);
	int ready = options->foreground ? -1 : detach();
	int error = -ENOMEM;

	/* The reader of the log may go; the tunnels must not go with it. */
	signal(SIGPIPE, SIG_IGN);
	log_open();
	if (!options->foreground && ready < 0) {
		log_error("%s: cannot leave the foreground: %s", options->name, strerror(-ready));
		free(loop);
		return EXIT_FAILURE;
	}
	if (loop)
		error = prepare(loop, options);
	if (error < 0)
		return EXIT_FAILURE;
	if (ready >= 0)
		report_ready(ready);
	notify_service_manager("READY=1");
	error = device_start(&loop->device);
	if (error < 0) {
		log_error("%s: cannot start: %s", options->name, strerror(-error));
		return EXIT_FAILURE;
	}
	log_info("%s: ready, UDP port %u", loop->device.shared.tun.name, loop->device.port);
	serve(loop);
	device_free(&loop->device);
	uapi_free(loop->uapi);
	free(loop);
	return EXIT_SUCCESS;
}
