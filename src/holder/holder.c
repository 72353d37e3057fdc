/*
 * Starts a holder, confines it, gives the listeners to the next server, and ends it: the main file
 * of this process, which has one thread. It accepts no client, and reads nothing of one.
 */
#include "holder/holder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/signals.h"
#include "holder/held.h"
#include "ipc/holding.h"
#include "ipc/packet.h"

enum {
	DOOR = 0, /* its place in the table: HOLDER_SOCKET, for the servers after the first */
	MAX_SERVERS = 8, /* the one that has started it, and those that ask */
	BACKLOG = 8,
};

struct holder_process {
	struct held held;
	uid_t owner;
	uint64_t left_ms; /* when the last server went */
	bool is_over;
	size_t n;
	struct pollfd sockets[1 + MAX_SERVERS];
};

static void remove_server(struct holder_process *holder, size_t place)
{
	close(holder->sockets[place].fd);
	holder->sockets[place] = holder->sockets[--holder->n];
	holder->left_ms = clock_now_ms(&system_clock);
}

static void add_server(struct holder_process *holder, int fd)
{
	holder->sockets[holder->n++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

/* Root, or whoever the servers run as. */
static bool is_trusted(const struct holder_process *holder, int fd)
{
	struct ucred peer;
	socklen_t length = sizeof peer;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
	       (peer.uid == 0 || peer.uid == holder->owner);
}

static void let_in(struct holder_process *holder)
{
	int fd = accept4(HOLDER_FD_SOCKET, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (holder->n < 1 + MAX_SERVERS && is_trusted(holder, fd))
		add_server(holder, fd);
	else
		close(fd);
}

static int give(const struct holder_process *holder, int fd, const struct holding_message *asked)
{
	int listener = held_find(&holder->held, asked->address, asked->port);
	struct holding_message answer = *asked;

	answer.kind = listener < 0 ? HOLDING_NONE : HOLDING_TAKEN;
	return holding_send(fd, &answer, listener);
}

/* Returns 0, or -errno when this server is not to be heard any more. */
static int handle(
	struct holder_process *holder, int fd, const struct holding_message *message, int passed)
{
	switch (message->kind) {
	case HOLDING_HOLD:
		return held_add(&holder->held, passed, message->address, message->port);
	case HOLDING_DROP:
		held_drop(&holder->held, message->address, message->port);
		return 0;
	case HOLDING_TAKE:
		return give(holder, fd, message);
	case HOLDING_END:
		holder->is_over = true;
		return 0;
	default:
		if (passed >= 0)
			close(passed);
		return -EPROTO;
	}
}

/* All that it has sent: the next server is to be given what this one had said before. */
static int hear(struct holder_process *holder, int fd)
{
	struct holding_message message;
	int passed, error;

	do {
		error = holding_receive(fd, &message, &passed);
		if (error == 0)
			error = handle(holder, fd, &message, passed);
	} while (error == 0);
	return error == -EAGAIN || error == -EINTR ? 0 : error;
}

/* From the last to the first, for the one that is removed is replaced by the last. */
static void hear_all(struct holder_process *holder)
{
	for (size_t i = holder->n; i-- > DOOR + 1;)
		if (holder->sockets[i].revents != 0 && hear(holder, holder->sockets[i].fd) < 0)
			remove_server(holder, i);
}

/* How long to wait for the next server, in ms; -1: there is one. */
static int time_left(const struct holder_process *holder)
{
	uint64_t end_ms = holder->left_ms + HOLDER_TIME_MS, now_ms = clock_now_ms(&system_clock);

	if (holder->n > DOOR + 1)
		return -1;
	return now_ms < end_ms ? (int)(end_ms - now_ms) : 0;
}

/* Until it is told to end, or no server has come for long. */
static void serve(struct holder_process *holder)
{
	int left;

	while (!holder->is_over && (left = time_left(holder)) != 0) {
		if (poll(holder->sockets, holder->n, left) <= 0)
			continue;
		hear_all(holder);
		if (holder->sockets[DOOR].revents != 0)
			let_in(holder);
	}
}

/* Waits for it: when it comes, this process has the parent that it will have. */
static int read_start(struct holding_message *start)
{
	struct pollfd server = {.fd = HOLDER_FD_SERVER, .events = POLLIN};
	int passed, error = poll(&server, 1, -1) < 0
				    ? -errno
				    : holding_receive(HOLDER_FD_SERVER, start, &passed);

	if (error == 0 && start->kind != HOLDING_START)
		error = -EPROTO;
	return error;
}

/* From here on the next server finds this holder. Called with the rights that it begins with: who
 * connects can see that root listens, and which process it is. */
static int open_door(void)
{
	if (listen(HOLDER_FD_SOCKET, BACKLOG) < 0)
		return -errno;
	if (rename(HOLDER_SOCKET_NEW, HOLDER_SOCKET) == 0)
		return 0;
	/* A server that does not start after all takes the name away. */
	return errno == ENOENT ? -EPIPE : -errno;
}

/* It is to outlive its parent, and who reads the log of its server is not to wait for it. */
static int leave_server(void)
{
	int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (nowhere < 0 || dup2(nowhere, STDERR_FILENO) < 0 || prctl(PR_SET_PDEATHSIG, 0) < 0)
		return -errno;
	close(nowhere);
	return chdir("/") < 0 ? -errno : 0;
}

static int start(struct holder_process *holder)
{
	static const struct holding_message ready = {
		.version = HOLDING_VERSION, .kind = HOLDING_READY};
	struct holding_message message;
	int error = read_start(&message);

	if (error == 0)
		error = open_door();
	if (error == 0)
		error = sandbox_drop_privileges(message.user, message.group);
	if (error == 0)
		error = leave_server();
	if (error == 0)
		error = sandbox_filter_calls_of_holder();
	if (error < 0)
		return error;
	holder->owner = message.owner;
	holder->sockets[DOOR] = (struct pollfd){.fd = HOLDER_FD_SOCKET, .events = POLLIN};
	holder->n = DOOR + 1;
	add_server(holder, HOLDER_FD_SERVER);
	/* One that is gone already has a successor to hold for all the more. */
	holding_send(HOLDER_FD_SERVER, &ready, -1);
	return 0;
}

int holder_main(void)
{
	struct holder_process holder = {0};
	int error;

	/* In ps -e, where the arguments are not shown. */
	prctl(PR_SET_NAME, "vprox-holder");
	/* But for SIGTERM: whoever sends it to all of a service, or of the host, waits for all to
	 * end. */
	signals_leave_to_parent();
	signal(SIGTERM, SIG_DFL);
	error = start(&holder);
	if (error < 0 && !packet_is_hung_up(error))
		log_error("cannot hold the listening sockets: %s", strerror(-error));
	if (error == 0)
		serve(&holder);
	held_free(&holder.held);
	return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
