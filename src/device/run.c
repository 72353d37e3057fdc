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
#include <unistd.h>

#include "base/log.h"
#include "base/notify.h"
#include "device/control_loop.h"
#include "device/links.h"
#include "device/setup.h"
#include "device/uapi/uapi.h"

enum {
	EVENTS = 16,
};

/* What the control thread waits for. The control socket's are told apart by pointers of its own. */
struct loop {
	struct device device;
	struct uapi *uapi;
	int epoll, signals;
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

/* All that is to be made before the device is ready. */
static int prepare(struct loop *loop, const struct device_run_options *options)
{
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	int listener = uapi_listen(options->name, path, sizeof path), error;

	if (listener < 0) {
		log_error("%s: cannot open the control socket in /run/wireguard: %s", options->name,
			strerror(-listener));
		return listener;
	}
	error = device_init(&loop->device, options->name, options->workers, path);
	if (error < 0) {
		log_error("%s: cannot make the device: %s", options->name, strerror(-error));
		close(listener);
		unlink(path);
		return error;
	}
	loop->device.no_fast_path = options->no_bpf;
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
	return error;
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

			if (pointer == &loop->signals) {
				log_info("%s: stopping", name);
				return;
			}
			if (pointer != &loop->device.links && pointer != &loop->device.shared.wake)
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
