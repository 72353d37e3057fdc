#include "device/opener.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/ipip.h"
#include "device/sandbox.h"
#include "device/udp.h"

enum operation {
	OPEN_UDP,
	OPEN_RAW,
	SET_MARK, /* the socket comes with the request */
};

struct request {
	enum operation operation;
	int family;
	uint16_t port;
	bool shared;
	uint32_t mark;
	struct in_addr local;
};

/* Sends bytes, and a file descriptor if there is one. */
static int send_with_fd(int to, const void *data, size_t length, int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {0};
	struct iovec vector = {(void *)data, length};
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};

	if (fd >= 0) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		message.msg_control = control;
		message.msg_controllen = sizeof control;
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(c), &fd, sizeof fd);
	}
	while (sendmsg(to, &message, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* Returns the number of bytes, 0 at the end, or -errno. *fd is -1 if none came. */
static ssize_t receive_with_fd(int from, void *data, size_t length, int *fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof *fd)];
	struct iovec vector = {data, length};
	struct msghdr message = {.msg_iov = &vector,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control};
	struct cmsghdr *c;
	ssize_t n;

	*fd = -1;
	do
		n = recvmsg(from, &message, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	c = CMSG_FIRSTHDR(&message);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
		c->cmsg_len == CMSG_LEN(sizeof *fd))
		memcpy(fd, CMSG_DATA(c), sizeof *fd);
	return n;
}

static int perform(const struct request *request, int fd)
{
	int mark = (int)request->mark;

	switch (request->operation) {
	case OPEN_UDP:
		if (request->family != AF_INET && request->family != AF_INET6)
			return -EAFNOSUPPORT;
		return udp_open(request->family, request->port, request->mark, request->shared);
	case OPEN_RAW:
		return ipip_open(request->local, request->mark);
	case SET_MARK:
		return setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) < 0 ? -errno : 0;
	}
	return -EINVAL;
}

static void serve(int socket)
{
	struct request request;
	int fd;

	while (receive_with_fd(socket, &request, sizeof request, &fd) == sizeof request) {
		int result = perform(&request, fd), error = result < 0 ? result : 0;
		bool opened = result >= 0 && request.operation != SET_MARK;

		if (send_with_fd(socket, &error, sizeof error, opened ? result : -1) < 0)
			break;
		if (opened)
			close(result);
		if (fd >= 0)
			close(fd);
	}
}

int opener_start(struct opener *opener, const char *path)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	pid = fork();
	if (pid < 0) {
		int error = -errno;

		close(pair[0]);
		close(pair[1]);
		return error;
	}
	if (pid > 0) {
		close(pair[1]);
		opener->fd = pair[0];
		return 0;
	}
	/* everything else is the device's: its end must be seen here */
	if (dup2(pair[1], STDIN_FILENO) < 0)
		_exit(EXIT_FAILURE);
	close_range(STDERR_FILENO + 1, ~0u, 0);
	/* it ends with the device, not with what ends the device */
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (sandbox_opener() < 0)
		_exit(EXIT_FAILURE);
	serve(STDIN_FILENO);
	if (path)
		unlink(path);
	_exit(EXIT_SUCCESS);
}

/* Returns the opened file descriptor, or 0, or a negative errno. */
static int ask(struct opener *opener, const struct request *request, int fd)
{
	int error = send_with_fd(opener->fd, request, sizeof *request, fd), answer;

	if (error < 0)
		return error;
	if (receive_with_fd(opener->fd, &answer, sizeof answer, &fd) != sizeof answer)
		return -EPIPE;
	return answer < 0 ? answer : fd < 0 ? 0 : fd;
}

int opener_udp(struct opener *opener, int family, uint16_t port, uint32_t mark, bool shared)
{
	struct request request;

	memset(&request, 0, sizeof request); /* padding goes over the socket too */
	request.operation = OPEN_UDP;
	request.family = family;
	request.port = port;
	request.mark = mark;
	request.shared = shared;
	return ask(opener, &request, -1);
}

int opener_raw(struct opener *opener, struct in_addr local, uint32_t mark)
{
	struct request request;

	memset(&request, 0, sizeof request);
	request.operation = OPEN_RAW;
	request.local = local;
	request.mark = mark;
	return ask(opener, &request, -1);
}

int opener_mark(struct opener *opener, int fd, uint32_t mark)
{
	struct request request;

	memset(&request, 0, sizeof request);
	request.operation = SET_MARK;
	request.mark = mark;
	return ask(opener, &request, fd);
}
