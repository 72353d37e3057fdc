/* The table of listening sockets. Runs in the holder's one thread. */
#include "holder/held.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static struct held_listener *find(const struct held *held, struct ipv4 address, uint16_t port)
{
	for (size_t i = 0; i < held->n; i++) {
		struct held_listener *listener = &held->listeners[i];

		if (ipv4_equal(listener->address, address) && listener->port == port)
			return listener;
	}
	return NULL;
}

int held_add(struct held *held, int fd, struct ipv4 address, uint16_t port)
{
	struct held_listener *listeners;

	held_drop(held, address, port);
	listeners = reallocarray(held->listeners, held->n + 1, sizeof *listeners);
	if (!listeners) {
		close(fd);
		return -ENOMEM;
	}
	held->listeners = listeners;
	listeners[held->n++] = (struct held_listener){fd, address, port};
	return 0;
}

void held_drop(struct held *held, struct ipv4 address, uint16_t port)
{
	struct held_listener *listener = find(held, address, port);

	if (!listener)
		return;
	close(listener->fd);
	*listener = held->listeners[--held->n];
}

int held_find(const struct held *held, struct ipv4 address, uint16_t port)
{
	const struct held_listener *listener = find(held, address, port);

	return listener ? listener->fd : -1;
}

void held_free(struct held *held)
{
	for (size_t i = 0; i < held->n; i++)
		close(held->listeners[i].fd);
	free(held->listeners);
	*held = (struct held){0};
}
