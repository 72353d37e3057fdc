/* The listening sockets, one an endpoint, which all gates share. They come and go with the
 * endpoints.
 */
#pragma once

#include <event2/event.h>

#include "base/ipv4.h"
#include "gate/connection_set.h"
#include "ipc/gate_endpoint.h"

struct acceptor;

/* Has no sockets, and is paused. What it will accept it passes on to the set. Returns NULL if there
 * is no memory. */
struct acceptor *acceptor_new(struct event_base *base, struct connection_set *set);

/*
 * Takes a listening socket over, also on failure: non-blocking and close-on-exec. What it accepts
 * has come to this endpoint; another socket of the same one is closed. Returns 0 or -ENOMEM.
 */
int acceptor_add(struct acceptor *acceptor, int fd, const struct gate_endpoint *endpoint);
/* Closes the socket of this address; the connections from it stay. None is fine. */
void acceptor_remove(struct acceptor *acceptor, struct ipv4 bind);

/* Leaves connections waiting at the sockets, where another process or this one can take them later,
 * and goes on. Both may be said twice. */
void acceptor_pause(struct acceptor *acceptor);
void acceptor_resume(struct acceptor *acceptor);

/* Closes them. */
void acceptor_free(struct acceptor *acceptor);
