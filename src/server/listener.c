/*
 * Opens the TCP sockets that the gates accept on. Runs in the broker, at its start, which has the
 * right to a port below 1024.
 */
#include "server/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

enum {
	BACKLOG = 4096, /* a reconnect storm; the kernel cuts it to net.core.somaxconn */
	TRIES = 20,
	RETRY_DELAY_NS = 100 * 1000 * 1000,
};

static int try_open(struct ipv4 address, unsigned short port)
{
	const struct sockaddr_in name = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = ipv4_to_net(address),
	};
	const int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
		setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof on) == 0 &&
		bind(fd, (const struct sockaddr *)&name, sizeof name) == 0 &&
		listen(fd, BACKLOG) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

static int open_one(struct ipv4 address, unsigned short port)
{
	const struct timespec delay = {.tv_nsec = RETRY_DELAY_NS};
	int fd = try_open(address, port);

	for (int i = 1; i < TRIES && fd == -EADDRINUSE; i++) {
		nanosleep(&delay, NULL);
		fd = try_open(address, port);
	}
	return fd;
}

int listeners_open(
	struct listeners *listeners, const struct ipv4 *addresses, size_t n, unsigned short port)
{
	listeners->fds = calloc(n, sizeof(*listeners->fds));
	if (!listeners->fds)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		int fd = open_one(addresses[i], port);

		if (fd < 0) {
			log_error("cannot listen on %s, TCP port %d: %s%s",
				ipv4_text(addresses[i]).s, port, strerror(-fd),
				fd == -EADDRINUSE ? " by another program" : "");
			return fd;
		}
		listeners->fds[listeners->n++] = fd;
	}
	return 0;
}

void listeners_close(struct listeners *listeners)
{
	for (size_t i = 0; i < listeners->n; i++)
		close(listeners->fds[i]);
	free(listeners->fds);
	*listeners = (struct listeners){0};
}
