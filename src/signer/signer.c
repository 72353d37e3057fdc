/*
 * Starts a signer, confines it, serves the gates in turn, and ends it: the main file of such a
 * process, which has one thread. It has the private key, a socket to the broker, one to each gate,
 * and nothing else.
 */
#include "signer/signer.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sandbox.h"
#include "base/signals.h"
#include "http/tls_error.h"
#include "ipc/packet.h"
#include "ipc/signing.h"
#include "signer/content.h"
#include "signer/signing_key.h"

enum {
	MAX_SOCKETS = 512, /* gates, and while they are replaced twice as many */
	BROKER = 0, /* its place in the table */
	NAME_SIZE = 24,
};

struct signer {
	char name[NAME_SIZE]; /* "signer 0", for the log */
	struct signing_key *key;
	size_t n;
	struct pollfd sockets[1 + MAX_SOCKETS]; /* the broker's first, then the gates' */
	struct signer_notice gates[1 + MAX_SOCKETS]; /* whose they are: as the broker has said it */
};

static void remove_gate(struct signer *signer, size_t place)
{
	close(signer->sockets[place].fd);
	signer->n--;
	signer->sockets[place] = signer->sockets[signer->n];
	signer->gates[place] = signer->gates[signer->n];
}

/* A broker that does not take what it is told, for now, does without. */
static void tell_broker(const struct signer_notice *notice)
{
	int error = signer_send_notice(SIGNER_FD_BROKER, notice, -1);

	if (error < 0)
		log_debug("cannot tell the broker: %s", strerror(-error));
}

/* Its socket is closed, or will be: the broker is to start another gate in its place. */
static void drop_gate(const struct signer_notice *gate, int error)
{
	struct signer_notice notice = *gate;

	notice.kind = SIGNER_DROPPED;
	notice.error = (uint32_t)-error;
	tell_broker(&notice);
}

static void answer_ping(void)
{
	static const struct signer_notice alive = {
		.version = SIGNING_VERSION, .kind = SIGNER_ALIVE};

	tell_broker(&alive);
}

/* Returns 0, or -errno when this gate is not to be served any more. */
static int answer(const struct signer *signer, int fd)
{
	struct signing_request request;
	struct signing_reply reply;
	int error = signing_receive_request(fd, &request);

	if (error < 0)
		return error == -EAGAIN || error == -EINTR ? 0 : error;
	signing_key_answer(signer->key, &request, &reply);
	if (reply.status == SIGNING_REFUSED)
		log_debug("refused to sign");
	/* A gate that does not take its answers has no room for them. */
	return signing_send_reply(fd, &reply);
}

static void serve_gate(struct signer *signer, size_t place)
{
	int error = answer(signer, signer->sockets[place].fd);

	if (error == 0)
		return;
	if (!packet_is_hung_up(error))
		drop_gate(&signer->gates[place], error);
	remove_gate(signer, place);
}

static void add_gate(struct signer *signer, const struct signer_notice *gate, int fd)
{
	if (signer->n == 1 + MAX_SOCKETS) {
		drop_gate(gate, -EMFILE);
		close(fd);
		return;
	}
	signer->sockets[signer->n] = (struct pollfd){.fd = fd, .events = POLLIN};
	signer->gates[signer->n++] = *gate;
}

/* Returns 0, or -errno when the broker is gone or makes no sense. */
static int hear_broker(struct signer *signer)
{
	struct signer_notice notice;
	int fd, error = signer_receive_notice(SIGNER_FD_BROKER, &notice, &fd);

	if (error < 0)
		return error == -EAGAIN || error == -EINTR ? 0 : error;
	if (notice.kind == SIGNER_SERVE)
		add_gate(signer, &notice, fd);
	else if (notice.kind == SIGNER_PING)
		answer_ping();
	else
		error = -EPROTO;
	return error;
}

/* One request of each gate a turn, so that none keeps the others waiting. From the last to the
 * first, for the one that is removed is replaced by the last. */
static void serve_gates(struct signer *signer)
{
	for (size_t i = signer->n; i-- > 1;)
		if (signer->sockets[i].revents != 0)
			serve_gate(signer, i);
}

/* Until the broker hangs up. Returns 0 or -errno. */
static int serve(struct signer *signer)
{
	int error = 0;

	while (error == 0) {
		if (poll(signer->sockets, signer->n, log_say_lost() ? LOG_RETRY_MS : -1) < 0) {
			if (errno != EINTR)
				return -errno;
			continue;
		}
		serve_gates(signer);
		if (signer->sockets[BROKER].revents != 0)
			error = hear_broker(signer);
	}
	return packet_is_hung_up(error) ? 0 : error;
}

static int read_config(struct signer *signer, struct signer_config *config)
{
	struct pollfd broker = {.fd = SIGNER_FD_BROKER, .events = POLLIN};
	int error =
		poll(&broker, 1, -1) < 0 ? -errno : signer_receive_config(SIGNER_FD_BROKER, config);

	if (error < 0) {
		log_error("cannot read the configuration: %s; a signer is started by the server",
			strerror(-error));
		return error;
	}
	snprintf(signer->name, sizeof signer->name, "signer %u", config->number);
	log_setup((enum log_level)config->log_level, (enum log_format)config->log_format,
		signer->name);
	tzset();
	return close_range(SIGNER_FD_KEY + 1, ~0U, 0) < 0 ? -errno : 0;
}

/* What the library opens and seeds late is opened and seeded before the filter: a signature is
 * made, and an error's text looked up. */
static int warm_up(struct signer *signer)
{
	struct signing_request request = {.version = SIGNING_VERSION};
	struct signing_reply reply;

	signing_key_suit(signer->key, &request);
	request.length = (uint32_t)content_example(request.content);
	signing_key_answer(signer->key, &request, &reply);
	tls_error();
	return reply.status == SIGNING_OK ? 0 : -EINVAL;
}

static int read_key(struct signer *signer)
{
	int error = -EINVAL;

	signer->key = signing_key_read(SIGNER_FD_KEY);
	close(SIGNER_FD_KEY);
	if (!signer->key)
		log_error("cannot read the private key: %s", tls_error());
	else
		error = warm_up(signer);
	if (signer->key && error < 0)
		log_error("cannot sign with this private key");
	return error;
}

static int lock_up(const struct signer_config *config)
{
	int error = sandbox_drop_privileges(config->user, config->group);

	if (error < 0)
		return error;
	error = sandbox_filter_calls_of_signer(SIGNER_FD_BROKER);
	if (error < 0)
		log_error("cannot filter system calls: %s", strerror(-error));
	return error;
}

static int start(struct signer *signer)
{
	static const struct signer_notice ready = {
		.version = SIGNING_VERSION, .kind = SIGNER_READY};
	struct signer_config config;
	int error = read_config(signer, &config);

	if (error == 0)
		error = read_key(signer);
	if (error == 0)
		error = lock_up(&config);
	if (error == 0)
		error = signer_send_notice(SIGNER_FD_BROKER, &ready, -1);
	signer->sockets[BROKER] = (struct pollfd){.fd = SIGNER_FD_BROKER, .events = POLLIN};
	signer->n = 1;
	return error;
}

int signer_main(void)
{
	struct signer signer = {0};
	int error;

	/* In ps -e, where the arguments are not shown. */
	prctl(PR_SET_NAME, "vprox-signer");
	/* sched(7): it does not interrupt a gate that goes on to further handshakes, and then has
	 * several to sign for. Nothing is lost where that is refused. Who was given another class,
	 * such as a real-time one, keeps it: below the gates it would be starved by them. */
	if (sched_getscheduler(0) == SCHED_OTHER)
		sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
	log_open();
	signals_leave_to_parent();
	error = start(&signer);
	if (error == 0)
		error = serve(&signer);
	if (error < 0)
		log_debug("ends: %s", strerror(-error));
	signing_key_free(signer.key);
	return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
