/*
 * `vprox fleet renumber`: gives up what collides. Runs in a process of its own, while no server
 * does.
 *
 * Tunnels go first: who dies in between finds the rest the next time, while interfaces of an
 * endpoint that is not known any more would keep their numbers.
 */
#include "server/renumber.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "ipc/packet.h"
#include "ipc/store_process.h"
#include "server/clean.h"
#include "server/lock.h"

enum {
	WAIT_MS = 10000, /* for each thing that the store says */
};

struct renumbering {
	struct store_process store;
	struct storing_message *collisions;
	struct ipv4 *binds; /* theirs */
	size_t n;
};

static int receive(const struct renumbering *renumbering, struct storing_message *message)
{
	const uint64_t deadline_ms = clock_now_ms(&system_clock) + WAIT_MS;
	uint64_t now_ms;

	while ((now_ms = clock_now_ms(&system_clock)) < deadline_ms) {
		struct pollfd readable = {.fd = renumbering->store.fd, .events = POLLIN};
		int error = poll(&readable, 1, (int)(deadline_ms - now_ms)) > 0
				    ? storing_receive_report(renumbering->store.fd, message)
				    : -EAGAIN;

		if (error != -EAGAIN && error != -EINTR)
			return error;
	}
	return -ETIMEDOUT;
}

static int keep(struct renumbering *renumbering, const struct storing_message *message)
{
	struct storing_message *collisions =
		array_grow(renumbering->collisions, renumbering->n, sizeof *collisions);
	struct ipv4 *binds;

	if (!collisions)
		return -ENOMEM;
	renumbering->collisions = collisions;
	binds = array_grow(renumbering->binds, renumbering->n, sizeof *binds);
	if (!binds)
		return -ENOMEM;
	renumbering->binds = binds;
	collisions[renumbering->n] = *message;
	binds[renumbering->n++] = message->endpoint.bind;
	return 0;
}

static int read_collisions(struct renumbering *renumbering)
{
	struct storing_message message = {0};
	int error = 0;

	while (error == 0 && message.operation != STORING_LOADED) {
		error = receive(renumbering, &message);
		if (error == 0 && message.operation == STORING_COLLIDES)
			error = keep(renumbering, &message);
	}
	return error;
}

static void say(const struct storing_message *collision, bool dry_run)
{
	const struct stored_endpoint *endpoint = &collision->endpoint;
	const struct prefix block = {endpoint->network, (uint8_t)endpoint->length};
	const char *what_becomes = dry_run ? "would be given up" : "is given up";

	if (ipv4_equal(endpoint->bind, collision->peer.bind)) {
		log_info(
			"endpoint %s: number %u, block %s, with a key that its fleet does not know "
			"there, %s: the next server has what the fleet has, and its clients get "
			"other addresses when they connect again",
			ipv4_text(endpoint->bind).s, endpoint->index, prefix_text(block).s,
			what_becomes);
		return;
	}
	log_info("endpoint %s: number %u, block %s, which belongs to %s of the fleet, %s: the next "
		 "server gives it others, and its clients get other addresses when they connect "
		 "again",
		ipv4_text(endpoint->bind).s, endpoint->index, prefix_text(block).s,
		ipv4_text(collision->peer.bind).s, what_becomes);
}

/* Returns when it is on the disk. */
static int give_up(const struct renumbering *renumbering, size_t i)
{
	const struct storing_message order = {
		.version = STORING_VERSION,
		.operation = STORING_FORGET,
		.sequence = i + 1,
		.peer.bind = renumbering->binds[i],
	};
	struct storing_message answer = {0};
	int error = storing_send(renumbering->store.fd, &order);

	while (error == 0 && answer.sequence != order.sequence)
		error = receive(renumbering, &answer);
	return error;
}

static int give_up_all(struct renumbering *renumbering, bool dry_run)
{
	int error = 0;

	if (renumbering->n == 0) {
		log_info("there is nothing to renumber: no endpoint has kept a server from "
			 "starting");
		return 0;
	}
	error = clean_tunnels(renumbering->binds, renumbering->n, dry_run);
	for (size_t i = 0; i < renumbering->n && error == 0; i++) {
		if (!dry_run)
			error = give_up(renumbering, i);
		if (error == 0)
			say(&renumbering->collisions[i], dry_run);
	}
	return error;
}

int renumber_host(bool dry_run)
{
	struct renumbering renumbering = {0};
	auto_close int lock = lock_out_servers("stop it first, with --on-exit=keep");
	int error;

	if (lock < 0)
		return lock;
	error = store_process_start(STORE_RENUMBERS, &renumbering.store);
	/* Without a file nothing has collided. */
	if (error == 0)
		error = read_collisions(&renumbering);
	else if (error == -ENOENT)
		error = 0;
	if (error == 0)
		error = give_up_all(&renumbering, dry_run);
	if (error < 0)
		log_error("not all is given up: %s",
			packet_is_hung_up(error) ? "the store has ended" : strerror(-error));
	store_process_end(&renumbering.store);
	free(renumbering.collisions);
	free(renumbering.binds);
	return error;
}
