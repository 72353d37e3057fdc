/*
 * Who keeps the listening sockets while no server runs, so that no client is refused meanwhile: the
 * service manager, if there is one, in its store of file descriptors (sd_notify(3), FDSTORE=1);
 * else a process of our own, the holder (holder_link.h). They have them from the start on, so that
 * they do however the server ends.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ipv4.h"
#include "server/earlier_holder.h"

struct event_base;
struct holder_link;

struct stored_listener {
	int fd;
	struct ipv4 address;
	unsigned short port;
};

struct listener_store {
	int manager; /* a socket to the service manager; -1: there is none */
	struct stored_listener *passed; /* on to us, and not used yet; ours */
	size_t n_passed;
	struct stored_listener *kept; /* beyond our end; the caller's */
	size_t n_kept;
	struct earlier_holder earlier; /* of the server before */
	struct holder_link *holder; /* NULL: the service manager does it, or it cannot be started */
};

/* Takes what the service manager has passed on to this process: sd_listen_fds(3). Once, before
 * anything is started that would inherit it. */
void listener_store_open(struct listener_store *store);

/* Whether it is a holder that keeps them, of which there will be one. */
bool listener_store_has_holder(const struct listener_store *store);

/* Finds the holder of the server before, and starts one that runs as this user, unless the service
 * manager keeps them. To be called by who has the server's lock. Without it, clients are refused
 * while no server runs, which is logged. */
void listener_store_start(
	struct listener_store *store, struct event_base *base, uint32_t user, uint32_t group);

/*
 * A listening socket of the server before, at that address and port, which is the caller's then.
 * reference: as for listener_check(); one that does not stand it is not used, and logged. -ENOENT:
 * there is none.
 */
int listener_store_take(
	struct listener_store *store, int reference, struct ipv4 address, unsigned short port);

/* Has it kept beyond our end. It stays the caller's. Returns 0 or -ENOMEM. */
int listener_store_keep(
	struct listener_store *store, int fd, struct ipv4 address, unsigned short port);

/* Has it kept no longer: once the caller and the gates close theirs, nobody listens there. */
void listener_store_drop(struct listener_store *store, struct ipv4 address, unsigned short port);

/* All that we want is taken: what else was passed on is closed. To be called before anything is
 * kept. */
void listener_store_settle(struct listener_store *store);

/* We are about to end: a holder that ends too is not replaced any more. */
void listener_store_retire(struct listener_store *store);

/* Has nothing kept any longer, and nobody listen with a copy of what was: there is to be no next
 * server, or it is to begin anew. */
void listener_store_abandon(struct listener_store *store);

/* Frees. What is kept stays kept. */
void listener_store_close(struct listener_store *store);
