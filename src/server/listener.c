#include "server/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

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

int listener_open(struct ipv4 address, unsigned short port)
{
	const struct timespec delay = {.tv_nsec = RETRY_DELAY_NS};
	int fd = try_open(address, port);

	for (int i = 1; i < TRIES && fd == -EADDRINUSE; i++) {
		nanosleep(&delay, NULL);
		fd = try_open(address, port);
	}
	return fd;
}
