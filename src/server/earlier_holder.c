/* Asks the holder that an earlier server has left. Runs in the broker at its start, and in `vprox
 * clean`. */
#include "server/earlier_holder.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/unix_address.h"
#include "ipc/holding.h"

enum {
	ANSWER_MS = 1000, /* for an answer of one packet */
};

static void kill_it(struct earlier_holder *holder, const char *what)
{
	log_warning("the holder of the listening sockets, process %d, %s; ending it",
		(int)holder->pid, what);
	/* It has our socket open at its other end, so it is there. */
	if (holder->pid > 1)
		kill(holder->pid, SIGKILL);
	earlier_holder_leave(holder);
}

/* Who it is that listens: unix(7), SO_PEERCRED. */
static bool is_trusted(struct earlier_holder *holder)
{
	struct ucred peer;
	socklen_t length = sizeof peer;

	if (getsockopt(holder->fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
		return false;
	holder->pid = peer.pid;
	if (peer.uid == 0 || peer.uid == geteuid())
		return true;
	log_warning("%s: who listens there, process %d of user %u, is no holder of ours",
		HOLDER_SOCKET, (int)peer.pid, peer.uid);
	return false;
}

void earlier_holder_find(struct earlier_holder *holder)
{
	struct sockaddr_un address;

	*holder = (struct earlier_holder){
		.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
	if (holder->fd < 0 || unix_address(HOLDER_SOCKET, &address) < 0 ||
		connect(holder->fd, (struct sockaddr *)&address, sizeof address) < 0 ||
		!is_trusted(holder))
		earlier_holder_leave(holder);
}

static int receive_answer(const struct earlier_holder *holder, struct holding_message *answer)
{
	struct pollfd readable = {.fd = holder->fd, .events = POLLIN};
	int passed, n = poll(&readable, 1, ANSWER_MS), error;

	if (n <= 0)
		return n < 0 ? -errno : -ETIMEDOUT;
	error = holding_receive(holder->fd, answer, &passed);
	return error < 0 ? error : answer->kind == HOLDING_TAKEN ? passed : -ENOENT;
}

int earlier_holder_take(struct earlier_holder *holder, struct ipv4 address, unsigned short port)
{
	struct holding_message message = {
		.version = HOLDING_VERSION, .kind = HOLDING_TAKE, .port = port, .address = address};
	int fd = holder->fd < 0 ? -ENOENT : holding_send(holder->fd, &message, -1);

	if (fd == 0)
		fd = receive_answer(holder, &message);
	if (fd >= 0 || fd == -ENOENT)
		return fd;
	kill_it(holder, fd == -ETIMEDOUT ? "does not answer" : strerror(-fd));
	return -ENOENT;
}

void earlier_holder_drop(struct earlier_holder *holder, struct ipv4 address, unsigned short port)
{
	const struct holding_message drop = {
		.version = HOLDING_VERSION, .kind = HOLDING_DROP, .port = port, .address = address};

	if (holder->fd >= 0)
		holding_send(holder->fd, &drop, -1);
}

void earlier_holder_leave(struct earlier_holder *holder)
{
	if (holder->fd >= 0)
		close(holder->fd);
	holder->fd = -1;
}

void earlier_holder_end(struct earlier_holder *holder)
{
	const struct holding_message end = {.version = HOLDING_VERSION, .kind = HOLDING_END};

	if (holder->fd >= 0 && holding_send(holder->fd, &end, -1) < 0)
		log_debug("the holder of the listening sockets is gone");
	earlier_holder_leave(holder);
}

/* Until it has closed all. */
static void wait_for_end(struct earlier_holder *holder)
{
	const struct holding_message end = {.version = HOLDING_VERSION, .kind = HOLDING_END};
	struct pollfd ended = {.fd = holder->fd, .events = POLLIN};

	if (holding_send(holder->fd, &end, -1) < 0 || poll(&ended, 1, ANSWER_MS) > 0)
		earlier_holder_leave(holder);
	else
		kill_it(holder, "does not end");
}

int earlier_holder_clean(bool dry_run)
{
	struct earlier_holder holder;
	int error = 0;

	earlier_holder_find(&holder);
	if (holder.fd < 0)
		return 0;
	if (dry_run) {
		earlier_holder_leave(&holder);
	} else {
		wait_for_end(&holder);
		error = unlink(HOLDER_SOCKET) < 0 && errno != ENOENT ? -errno : 0;
	}
	if (error < 0) {
		log_error("cannot remove the socket %s: %s", HOLDER_SOCKET, strerror(-error));
		return error;
	}
	log_info("%s the process that holds an earlier server's listening sockets",
		dry_run ? "would remove" : "removed");
	return 1;
}
