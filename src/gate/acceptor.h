/* The listening sockets, one an endpoint, which all gates share. */
#pragma once

#include <stddef.h>

#include <event2/event.h>

#include "gate/connection_set.h"

struct acceptor;

/*
 * Takes over n listening sockets, the first of which is first_fd and the others the numbers after
 * it, and passes on what they accept. Returns NULL with errno set.
 */
struct acceptor *acceptor_new(
	struct event_base *base, int first_fd, size_t n, struct connection_set *set);

/* Leaves connections waiting at the sockets, where another process or this one can take them later,
 * and goes on. Both may be said twice. */
void acceptor_pause(struct acceptor *acceptor);
void acceptor_resume(struct acceptor *acceptor);

/* Closes them. */
void acceptor_free(struct acceptor *acceptor);
