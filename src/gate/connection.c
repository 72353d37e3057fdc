#include "gate/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "gate/admission.h"
#include "gate/tls_http.h"
#include "gate/tls.h"

enum {
	DISCARD_SIZE = 1 << 20, /* bytes thrown away at once from a client that goes on sending */
};

static uint64_t now_ms(const struct connection *connection)
{
	return clock_now_ms(connection->set->clock);
}

const char *connection_doing(const struct connection *connection)
{
	static const char *const names[] = {
		[PHASE_SILENT] = "waiting for the first byte",
		[PHASE_HANDSHAKE] = "TLS handshake",
		[PHASE_READING] = "reading the request",
		[PHASE_CONTINUING] = "sending 100 Continue",
		[PHASE_ASKING] = "waiting for the broker",
		[PHASE_ANSWERING] = "sending the answer",
		[PHASE_LINGERING] = "waiting for the client to close",
	};

	return names[connection->phase];
}

void connection_set_deadline(struct connection *connection, uint64_t at_ms)
{
	uint64_t now = now_ms(connection);
	uint64_t left = at_ms > now ? at_ms - now : 0;
	struct timeval tv = {(time_t)(left / 1000), (suseconds_t)(left % 1000 * 1000)};

	evtimer_add(&connection->deadline, &tv);
}

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
	struct connection *connection = context;
	struct log_limit_text more;

	(void)fd;
	(void)what;
	if (connection->phase != PHASE_ASKING)
		log_debug("%s: time is up: %s", client_text(&connection->client).s,
			connection_doing(connection));
	else if (log_limit_take(&connection->set->late, now_ms(connection), &more))
		log_warning("%s: the broker has not answered in time%s",
			client_text(&connection->client).s, more.s);
	connection_close(connection);
}

static void on_io(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	connection_advance(context);
}

static void watch(struct connection *connection, short what)
{
	if (connection->watched == what)
		return;
	if (connection->watched != 0)
		event_del(&connection->io);
	connection->watched = what;
	if (what == 0)
		return;
	event_assign(&connection->io, connection->set->base, connection->fd, what | EV_PERSIST,
		on_io, connection);
	event_add(&connection->io, NULL);
}

/* A client that has said nothing costs no TLS state, and neither does one that does not speak
 * TLS. */
static enum step step_silent(struct connection *connection)
{
	unsigned char byte;
	ssize_t n = recv(connection->fd, &byte, 1, MSG_PEEK);
	uint64_t deadline = now_ms(connection) + CONNECTION_HANDSHAKE_MS;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return STEP_READ;
	if (n <= 0)
		return STEP_CLOSE;
	if (byte != TLS_FIRST_BYTE) {
		log_debug("%s: does not speak TLS", client_text(&connection->client).s);
		return STEP_CLOSE;
	}
	connection->exchange = exchange_new(connection);
	if (!connection->exchange) {
		log_error("%s: cannot make a TLS connection: %s",
			client_text(&connection->client).s, tls_error());
		return STEP_CLOSE;
	}
	if (deadline < connection->accepted_ms + CONNECTION_REQUEST_MS)
		connection_set_deadline(connection, deadline);
	connections_enter(connection, PHASE_HANDSHAKE);
	return STEP_ON;
}

/* Were the socket closed while the client still sends, the kernel would reset the connection, and
 * the client could lose the answer. */
static enum step step_answering(struct connection *connection)
{
	enum step step = exchange_write(connection, PHASE_LINGERING);

	if (step == STEP_ON) {
		exchange_free(connection->exchange);
		connection->exchange = NULL;
		connection_set_deadline(connection, now_ms(connection) + CONNECTION_LINGER_MS);
	}
	return step;
}

/* What the client sends now is not even decrypted. MSG_TRUNC: tcp(7). */
static enum step step_lingering(struct connection *connection)
{
	ssize_t n = recv(connection->fd, NULL, DISCARD_SIZE, MSG_TRUNC);

	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return STEP_READ;
	return STEP_CLOSE;
}

static enum step take_step(struct connection *connection)
{
	switch (connection->phase) {
	case PHASE_SILENT:
		return step_silent(connection);
	case PHASE_HANDSHAKE:
		return exchange_handshake(connection);
	case PHASE_READING:
		return exchange_read(connection);
	case PHASE_CONTINUING:
		return exchange_write(connection, PHASE_READING);
	case PHASE_ASKING:
		return STEP_WAIT;
	case PHASE_ANSWERING:
		return step_answering(connection);
	case PHASE_LINGERING:
		return step_lingering(connection);
	}
	return STEP_CLOSE;
}

void connection_advance(struct connection *connection)
{
	enum step step;

	do
		step = take_step(connection);
	while (step == STEP_ON);
	if (step == STEP_CLOSE)
		connection_close(connection);
	else
		watch(connection, step == STEP_READ ? EV_READ : step == STEP_WRITE ? EV_WRITE : 0);
}

struct connection *connection_new(
	struct connections *set, int fd, const struct client *client, struct source *source)
{
	struct connection *connection = calloc(1, sizeof *connection);

	if (!connection)
		return NULL;
	connection->set = set;
	connection->fd = fd;
	connection->client = *client;
	connection->source = source;
	connection->phase = PHASE_SILENT;
	connection->accepted_ms = now_ms(connection);
	evtimer_assign(&connection->deadline, set->base, on_deadline, connection);
	connection_set_deadline(connection, connection->accepted_ms + CONNECTION_REQUEST_MS);
	watch(connection, EV_READ);
	return connection;
}

void connection_close(struct connection *connection)
{
	watch(connection, 0);
	evtimer_del(&connection->deadline);
	if (connection->exchange)
		exchange_free(connection->exchange);
	connections_remove(connection);
	close(connection->fd);
	free(connection);
}

bool connection_is_idle(const struct connection *connection)
{
	return connection->phase == PHASE_SILENT ||
	       (connection->phase == PHASE_READING && !exchange_has_begun(connection->exchange));
}
