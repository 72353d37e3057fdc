/* Starts a store that only tells what is stored, and listens to it. Runs in `vprox check`. */
#include "check/promised_holders.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "ipc/packet.h"
#include "ipc/store_process.h"

enum {
	READ_MS = 10000, /* 50,000 peers take well under a second */
};

static int keep_endpoint(struct promises_read *promises, const struct stored_endpoint *endpoint)
{
	struct stored_endpoint *grown =
		reallocarray(promises->endpoints, promises->n_endpoints + 1, sizeof *grown);

	if (!grown)
		return -ENOMEM;
	promises->endpoints = grown;
	grown[promises->n_endpoints] = *endpoint;
	key_wipe(&grown[promises->n_endpoints++].private_key);
	return 0;
}

static int keep_peer(struct promises_read *promises, const struct stored_peer *peer)
{
	const struct holder holder = {
		.bind = peer->bind,
		.peer = {.kind = peer->kind == STORED_WIREGUARD ? PEER_WIREGUARD : PEER_IPIP,
			.inner = peer->inner,
			.key = peer->key,
			.remote = peer->remote},
	};

	return holders_add(&promises->holders, &holder);
}

/* Returns 0 or -errno; *ended: that was all. */
static int handle(
	struct promises_read *promises, const struct storing_message *message, bool *ended)
{
	switch (message->operation) {
	case STORING_ENDPOINT:
		return keep_endpoint(promises, &message->endpoint);
	case STORING_PEER:
		return keep_peer(promises, &message->peer);
	case STORING_LOADED:
		*ended = true;
		return 0;
	default:
		return 0;
	}
}

static int receive(struct promises_read *promises, int fd, bool *ended)
{
	struct storing_message message;
	int error = storing_receive_report(fd, &message);

	if (error == 0)
		error = handle(promises, &message, ended);
	explicit_bzero(&message, sizeof message);
	return error == -EAGAIN || error == -EINTR ? 0 : error;
}

static int listen_to(struct promises_read *promises, int fd)
{
	const uint64_t deadline_ms = clock_now_ms(&system_clock) + READ_MS;
	bool ended = false;
	int error = 0;

	while (error == 0 && !ended) {
		struct pollfd readable = {.fd = fd, .events = POLLIN};
		uint64_t now_ms = clock_now_ms(&system_clock);

		if (now_ms >= deadline_ms)
			return -ETIMEDOUT;
		if (poll(&readable, 1, (int)(deadline_ms - now_ms)) > 0)
			error = receive(promises, fd, &ended);
	}
	return error;
}

int promises_read(struct promises_read *promises)
{
	struct store_process process;
	int error = store_process_start(STORE_TELLS, &process);

	*promises = (struct promises_read){.is_there = error != -ENOENT};
	if (error == -ENOENT)
		return 0;
	if (error == 0)
		error = listen_to(promises, process.fd);
	store_process_end(&process);
	if (error == 0)
		holders_sort(&promises->holders);
	else if (packet_is_hung_up(error))
		log_error("what is in the store cannot be read");
	else
		log_error("what is in the store cannot be read: %s", strerror(-error));
	return error;
}

void promises_free(struct promises_read *promises)
{
	free(promises->endpoints);
	holders_free(&promises->holders);
	*promises = (struct promises_read){0};
}
