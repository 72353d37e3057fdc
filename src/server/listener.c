/*
 * Opens the TCP sockets that the gates accept on. Runs in the broker, which has the right to a port
 * below 1024.
 */
#include "server/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "server/listener_check.h"
#include "server/listener_store.h"

enum {
	TRIES = 20,
	RETRY_DELAY_NS = 100 * 1000 * 1000,
};

static int bind_to(int fd, struct ipv4 address, unsigned short port)
{
	const struct sockaddr_in name = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = ipv4_to_net(address),
	};

	return bind(fd, (const struct sockaddr *)&name, sizeof name) < 0 ||
			       listen(fd, LISTENER_BACKLOG) < 0
		       ? -errno
		       : 0;
}

/* Not bound yet: it is also what one of an earlier server is compared with. */
static int new_socket(void)
{
	const int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
		setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof on) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

/* One of the server before, or the new one. */
static int open_one(struct listener_store *store, struct ipv4 address, unsigned short port)
{
	const struct timespec delay = {.tv_nsec = RETRY_DELAY_NS};
	auto_close int fd = new_socket();
	int taken = fd < 0 ? fd : listener_store_take(store, fd, address, port), error;

	if (taken != -ENOENT)
		return taken;
	error = bind_to(fd, address, port);
	for (int i = 1; i < TRIES && error == -EADDRINUSE; i++) {
		nanosleep(&delay, NULL);
		error = bind_to(fd, address, port);
	}
	if (error < 0)
		return error;
	taken = fd;
	fd = -1;
	return taken;
}

/* Takes over what is a socket; logs why it is none. Returns it, or -errno. */
static int add(struct listeners *listeners, struct ipv4 address, unsigned short port, int fd)
{
	size_t n = listeners->n;
	int *fds = reallocarray(listeners->fds, n + 1, sizeof *fds);
	struct ipv4 *addresses;

	listeners->fds = fds ? fds : listeners->fds;
	addresses = reallocarray(listeners->addresses, n + 1, sizeof *addresses);
	listeners->addresses = addresses ? addresses : listeners->addresses;
	if (fd >= 0 && (!fds || !addresses)) {
		close(fd);
		fd = -ENOMEM;
	}
	if (fd < 0) {
		log_error("cannot listen on %s, TCP port %d: %s%s", ipv4_text(address).s, port,
			strerror(-fd),
			fd == -EADDRINUSE ? " by another program, which `ss -ltnp` names" : "");
		return fd;
	}
	fds[n] = fd;
	addresses[n] = address;
	listeners->n++;
	return fd;
}

static int open_all(struct listeners *listeners, struct listener_store *store,
	const struct ipv4 *addresses, size_t n, unsigned short port)
{
	for (size_t i = 0; i < n; i++) {
		int fd = add(listeners, addresses[i], port, open_one(store, addresses[i], port));

		if (fd < 0)
			return fd;
	}
	return 0;
}

int listeners_open(struct listeners *listeners, struct listener_store *store,
	const struct ipv4 *addresses, size_t n, unsigned short port)
{
	int error = open_all(listeners, store, addresses, n, port);

	if (error == 0)
		listener_store_settle(store);
	/* Also where not all could be opened: what the store has is then to be abandoned. */
	for (size_t i = 0; i < listeners->n; i++)
		if (listener_store_keep(store, listeners->fds[i], addresses[i], port) < 0)
			error = -ENOMEM;
	return error;
}

static int open_at_once(struct ipv4 address, unsigned short port)
{
	int fd = new_socket();
	int error = fd < 0 ? fd : bind_to(fd, address, port);

	if (error < 0 && fd >= 0)
		close(fd);
	return error < 0 ? error : fd;
}

int listeners_add(struct listeners *listeners, struct listener_store *store, struct ipv4 address,
	unsigned short port)
{
	int fd = add(listeners, address, port, open_at_once(address, port));

	/* Without it, clients are refused while the server is started again. */
	if (fd >= 0 && listener_store_keep(store, fd, address, port) < 0)
		log_warning("the listener of %s is not kept: %s", ipv4_text(address).s,
			strerror(ENOMEM));
	return fd;
}

void listeners_remove(struct listeners *listeners, struct listener_store *store,
	struct ipv4 address, unsigned short port)
{
	for (size_t i = 0; i < listeners->n; i++) {
		if (!ipv4_equal(listeners->addresses[i], address))
			continue;
		listener_store_drop(store, address, port);
		close(listeners->fds[i]);
		listeners->n--;
		listeners->fds[i] = listeners->fds[listeners->n];
		listeners->addresses[i] = listeners->addresses[listeners->n];
		return;
	}
}

void listeners_close(struct listeners *listeners)
{
	for (size_t i = 0; i < listeners->n; i++)
		close(listeners->fds[i]);
	free(listeners->fds);
	free(listeners->addresses);
	*listeners = (struct listeners){0};
}
