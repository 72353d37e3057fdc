/*
 * Starts the signers, hands them the key, joins gates with them, and asks them now and then whether
 * they are there. Runs in the broker.
 */
#include "server/signer_supervisor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/log.h"
#include "ipc/packet.h"
#include "server/child.h"

_Static_assert(
	(int)SIGNER_FD_BROKER == (int)CHILD_FD_BROKER, "where a signer looks for its socket");
_Static_assert((int)SIGNER_FD_KEY == CHILD_FD_BROKER + 1, "in the order of child_spawn()");

enum {
	/* With a fast key a signer is busy for a thirtieth of the time that a gate is. */
	GATES_PER_SIGNER = 16,
	/* Of requests of one gate, which the kernel doubles: some dozens. A gate has fewer under
	   way, and one that was taken over cannot fill the memory. */
	REQUESTS_SIZE = 16 * 1024,
	/* A signer that hangs is to be replaced while the handshakes that wait for it can still be
	 * finished, and clients still wait: both do for 5 s. Intervals are counted, and not time,
	 * since it may be us who stand still. */
	PING_INTERVAL_MS = 500,
	PINGS_UNANSWERED_MAX = 5,
	START_INTERVALS_MAX = 60,
};

struct signer_supervisor {
	struct signer_supervisor_config config;
	unsigned int gates_per_signer, n;
	struct child_group *signers;
	unsigned int *silent; /* one a signer: intervals since it was last heard */
	uint32_t *sockets; /* one a gate: the number of the one that it has */
	struct event *ping;
};

static int start_signer(void *context, struct child *signer)
{
	struct signer_supervisor *supervisor = context;
	int error = child_spawn(signer, &supervisor->config.key_fd, 1);

	if (error < 0)
		return error;
	supervisor->silent[signer->number] = 0;
	supervisor->config.settings.number = signer->number;
	error = signer_send_config(signer->fd, &supervisor->config.settings);
	if (error < 0)
		child_expel(signer, "cannot send it its configuration", error);
	return 0;
}

/* A socket of the gate's own, so that what one gate may ask ends with it. */
static int join(struct signer_supervisor *supervisor, struct child *signer, unsigned int gate)
{
	const struct signer_notice notice = {
		.version = SIGNING_VERSION,
		.kind = SIGNER_SERVE,
		.gate = gate,
		.socket = ++supervisor->sockets[gate],
	};
	const int size = REQUESTS_SIZE;
	int ends[2], error;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		return -errno;
	if (setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size) < 0)
		log_debug("cannot set the size of a socket's buffer: %m");
	error = signer_send_notice(signer->fd, &notice, ends[0]);
	if (error == 0)
		supervisor->config.on_socket(supervisor->config.context, gate, ends[1]);
	close(ends[0]);
	close(ends[1]);
	return error;
}

void signer_supervisor_connect(struct signer_supervisor *supervisor, unsigned int gate)
{
	struct child *signer =
		child_group_get(supervisor->signers, gate / supervisor->gates_per_signer);
	int error;

	if (!signer->is_ready || signer->fd < 0)
		return;
	error = join(supervisor, signer, gate);
	if (error < 0 && !packet_is_hung_up(error))
		log_error("cannot join gate %u with its signer: %s", gate, strerror(-error));
}

static void serve_gates(struct signer_supervisor *supervisor, struct child *signer)
{
	unsigned int first = signer->number * supervisor->gates_per_signer;
	unsigned int end = first + supervisor->gates_per_signer;

	if (end > supervisor->config.n_gates)
		end = supervisor->config.n_gates;
	signer->is_ready = true;
	for (unsigned int gate = first; gate < end; gate++)
		signer_supervisor_connect(supervisor, gate);
}

/* Of a socket that the gate has no longer, it may have been another one. */
static void drop_gate(struct signer_supervisor *supervisor, const struct signer_notice *notice)
{
	if (supervisor->sockets[notice->gate] == notice->socket)
		supervisor->config.on_dropped(
			supervisor->config.context, notice->gate, -(int)notice->error);
}

/* Returns 0, or -EPROTO for what a signer has not to say. */
static int heed(struct signer_supervisor *supervisor, struct child *signer,
	const struct signer_notice *notice)
{
	supervisor->silent[signer->number] = 0;
	if (notice->kind == SIGNER_READY && !signer->is_ready)
		serve_gates(supervisor, signer);
	else if (notice->kind == SIGNER_DROPPED && notice->gate < supervisor->config.n_gates &&
		 notice->gate / supervisor->gates_per_signer == signer->number)
		drop_gate(supervisor, notice);
	else if (notice->kind != SIGNER_ALIVE)
		return -EPROTO;
	return 0;
}

static void on_signer_readable(void *context, struct child *signer)
{
	struct signer_notice notice;
	int descriptor, error = signer_receive_notice(signer->fd, &notice, &descriptor);

	if (error == 0)
		error = heed(context, signer, &notice);
	if (descriptor >= 0)
		close(descriptor);
	if (error == -EPROTO)
		child_expel(signer, "it says what a signer has not to say", error);
	else if (error < 0)
		child_read_failed(signer, "cannot read what it says", error);
}

/* Whatever fails here shows in that it is not answered. */
static void ping(const struct child *signer)
{
	static const struct signer_notice notice = {
		.version = SIGNING_VERSION, .kind = SIGNER_PING};
	int error = signer_send_notice(signer->fd, &notice, -1);

	if (error < 0)
		log_debug("cannot ask %s: %s", signer->name, strerror(-error));
}

static void check(struct signer_supervisor *supervisor, struct child *signer)
{
	unsigned int *silent = &supervisor->silent[signer->number];
	unsigned int max = signer->is_ready ? PINGS_UNANSWERED_MAX : START_INTERVALS_MAX;

	if (signer->fd < 0)
		return;
	if (*silent >= max) {
		child_expel(signer, "it does not answer", -ETIMEDOUT);
		return;
	}
	++*silent;
	if (signer->is_ready)
		ping(signer);
}

static void on_ping(evutil_socket_t fd, short what, void *context)
{
	struct signer_supervisor *supervisor = context;

	(void)fd;
	(void)what;
	for (unsigned int i = 0; i < supervisor->n; i++)
		check(supervisor, child_group_get(supervisor->signers, i));
}

static int start_pings(struct signer_supervisor *supervisor, struct event_base *base)
{
	const struct timeval interval = timeval_from_ms(PING_INTERVAL_MS);

	supervisor->ping = event_new(base, -1, EV_PERSIST, on_ping, supervisor);
	return supervisor->ping && event_add(supervisor->ping, &interval) == 0 ? 0 : -ENOMEM;
}

static void free_memory(struct signer_supervisor *supervisor)
{
	if (!supervisor)
		return;
	free_event(supervisor->ping);
	free(supervisor->silent);
	free(supervisor->sockets);
	free(supervisor);
}

int signer_supervisor_new(struct event_base *base, const struct signer_supervisor_config *config,
	struct signer_supervisor **result)
{
	struct signer_supervisor *supervisor = calloc(1, sizeof *supervisor);
	const unsigned int per_signer = config->key_is_fast ? GATES_PER_SIGNER : 1;
	const struct child_group_config signers = {
		.command = "signer",
		.n = (config->n_gates + per_signer - 1) / per_signer,
		.start = start_signer,
		.readable = on_signer_readable,
		.context = supervisor,
	};
	int error = -ENOMEM;

	if (supervisor) {
		supervisor->config = *config;
		supervisor->gates_per_signer = per_signer;
		supervisor->n = signers.n;
		supervisor->silent = calloc(signers.n, sizeof *supervisor->silent);
		supervisor->sockets = calloc(config->n_gates, sizeof *supervisor->sockets);
		if (supervisor->silent && supervisor->sockets)
			error = start_pings(supervisor, base);
		if (error == 0)
			error = child_group_new(base, &signers, &supervisor->signers);
	}
	if (error < 0) {
		log_error("cannot start the signer: %s", strerror(-error));
		free_memory(supervisor);
		return error;
	}
	*result = supervisor;
	return 0;
}

unsigned int signer_supervisor_count(const struct signer_supervisor *supervisor)
{
	return supervisor->n;
}

const struct child *signer_supervisor_get(
	const struct signer_supervisor *supervisor, unsigned int number)
{
	return child_group_get(supervisor->signers, number);
}

void signer_supervisor_free(struct signer_supervisor *supervisor)
{
	if (!supervisor)
		return;
	child_group_free(supervisor->signers);
	free_memory(supervisor);
}
