/* The sockets of a look-up, and what c-ares does with them. Runs in the request process: opened
 * before it gives up its rights, used after. */
#include "client/marked_sockets.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

struct stack {
	int family, type;
	size_t n;
	int fds[MARKED_DATAGRAM_SOCKETS];
};

enum { STACKS = 4 };

struct marked_sockets {
	struct stack stacks[STACKS];
};

int marked_socket_open(int family, int type, uint32_t mark)
{
	int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (mark != 0 && setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) < 0) {
		int error = -errno;

		close(fd);
		return error;
	}
	return fd;
}

static int fill(struct stack *stack, size_t n, uint32_t mark)
{
	while (stack->n < n) {
		int fd = marked_socket_open(stack->family, stack->type, mark);

		if (fd < 0)
			return fd;
		stack->fds[stack->n++] = fd;
	}
	return 0;
}

int marked_sockets_open(uint32_t mark, struct marked_sockets **result)
{
	static const struct stack kinds[STACKS] = {
		{.family = AF_INET, .type = SOCK_DGRAM},
		{.family = AF_INET, .type = SOCK_STREAM},
		{.family = AF_INET6, .type = SOCK_DGRAM},
		{.family = AF_INET6, .type = SOCK_STREAM},
	};
	struct marked_sockets *sockets = calloc(1, sizeof *sockets);
	int error = sockets ? 0 : -ENOMEM;

	for (size_t i = 0; i < STACKS && error == 0; i++) {
		size_t n = kinds[i].type == SOCK_DGRAM ? MARKED_DATAGRAM_SOCKETS
						       : MARKED_STREAM_SOCKETS;

		sockets->stacks[i] = kinds[i];
		error = fill(&sockets->stacks[i], n, mark);
		if (error == -EAFNOSUPPORT && kinds[i].family == AF_INET6)
			error = 0;
	}
	if (error < 0)
		marked_sockets_close(sockets);
	else
		*result = sockets;
	return error;
}

static ares_socket_t take(int family, int type, int protocol, void *context)
{
	struct marked_sockets *sockets = context;

	(void)protocol;
	for (size_t i = 0; i < STACKS; i++) {
		struct stack *stack = &sockets->stacks[i];

		if (stack->family == family && stack->type == type && stack->n > 0)
			return stack->fds[--stack->n];
	}
	errno = EMFILE;
	return ARES_SOCKET_BAD;
}

static int close_taken(ares_socket_t fd, void *context)
{
	(void)context;
	return close(fd);
}

static int connect_taken(
	ares_socket_t fd, const struct sockaddr *address, ares_socklen_t length, void *context)
{
	(void)context;
	return connect(fd, address, length);
}

static ares_ssize_t receive(ares_socket_t fd, void *data, size_t size, int flags,
	struct sockaddr *from, ares_socklen_t *length, void *context)
{
	(void)context;
	return recvfrom(fd, data, size, flags, from, length);
}

/* A server that has closed must not end us by SIGPIPE; writev(2) cannot be told. */
static ares_ssize_t transmit(ares_socket_t fd, const struct iovec *data, int n, void *context)
{
	const struct msghdr message = {.msg_iov = (struct iovec *)data, .msg_iovlen = (size_t)n};

	(void)context;
	return sendmsg(fd, &message, MSG_NOSIGNAL);
}

void marked_sockets_serve(struct marked_sockets *sockets, ares_channel channel)
{
	static const struct ares_socket_functions functions = {
		.asocket = take,
		.aclose = close_taken,
		.aconnect = connect_taken,
		.arecvfrom = receive,
		.asendv = transmit,
	};

	ares_set_socket_functions(channel, &functions, sockets);
}

void marked_sockets_close(struct marked_sockets *sockets)
{
	for (size_t i = 0; sockets && i < STACKS; i++)
		while (sockets->stacks[i].n > 0)
			close(sockets->stacks[i].fds[--sockets->stacks[i].n]);
	free(sockets);
}
