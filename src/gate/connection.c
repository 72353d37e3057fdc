/*
 * One connection's phases and deadlines; every transition is made here. Runs in the gate's one
 * thread, called by its events.
 *
 *   greeting     until the client's first message is complete. Until then it costs no TLS state
 *   waiting      until it has its turn
 *   handshake    TLS
 *   reading      the request; in between it may be held, until it has its turn to be checked, or
 *                keyless, while the key of its token is fetched
 *   asking       the broker has it: left out where the answer does not depend on it
 *   pausing      before the answer to a wrong password
 *   answering
 *   lingering    until the client has closed too
 *
 * Whatever fails, and every deadline, closes the connection.
 */
#include "gate/connection.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "gate/answer_record.h"
#include "gate/check_places.h"
#include "gate/greeting.h"
#include "gate/tls_http.h"
#include "http/tls_error.h"

enum {
	DISCARD_SIZE = 1 << 20, /* bytes thrown away at once from a client that goes on sending */
};

static void advance(struct connection *connection);
static void on_io(evutil_socket_t fd, short what, void *context);

static uint64_t now_ms(const struct connection *connection)
{
	return clock_now_ms(connection->set->clock);
}

/* For the log. */
static const char *phase_text(enum connection_phase phase)
{
	static const char *const texts[] = {
		[PHASE_GREETING] = "waiting for the first message",
		[PHASE_WAITING] = "waiting for its turn",
		[PHASE_HANDSHAKE] = "TLS handshake",
		[PHASE_READING] = "reading the request",
		[PHASE_HELD] = "waiting for the check of its password",
		[PHASE_KEYLESS] = "waiting for the key of its token",
		[PHASE_ASKING] = "waiting for the broker",
		[PHASE_PAUSING] = "waiting after a wrong password",
		[PHASE_ANSWERING] = "sending the answer",
		[PHASE_LINGERING] = "waiting for the client to close",
	};

	return texts[phase];
}

/* When a phase that begins now has to be over, in the clock's ms. */
static uint64_t deadline_of(const struct connection *connection, enum connection_phase phase)
{
	uint64_t request_end = connection->accepted_ms + CONNECTION_REQUEST_MS;
	uint64_t handshake_end = now_ms(connection) + CONNECTION_HANDSHAKE_MS;

	switch (phase) {
	case PHASE_HANDSHAKE:
		return handshake_end < request_end ? handshake_end : request_end;
	case PHASE_ASKING:
		return now_ms(connection) + CONNECTION_ANSWER_MS;
	case PHASE_KEYLESS:
		return now_ms(connection) + CONNECTION_KEY_LOOK_MS;
	case PHASE_PAUSING:
		return now_ms(connection) + CONNECTION_PAUSE_MS;
	case PHASE_LINGERING:
		return now_ms(connection) + CONNECTION_LINGER_MS;
	default:
		return request_end;
	}
}

static void set_timer(struct connection *connection)
{
	uint64_t now = now_ms(connection), at = connection->deadline_ms;
	struct timeval left = timeval_from_ms(at > now ? at - now : 0);

	connection->timer_ms = at;
	evtimer_add(&connection->deadline, &left);
}

/* A timer that comes before is left as it is, and set again then: most phases are over by far. */
static void set_deadline_at(struct connection *connection, uint64_t at_ms)
{
	connection->deadline_ms = at_ms;
	if (connection->timer_ms == 0 || connection->timer_ms > at_ms)
		set_timer(connection);
}

static void set_deadline(struct connection *connection)
{
	set_deadline_at(connection, deadline_of(connection, connection->phase));
}

/* The deadline of an answer is that of the phase before it. */
static void enter(struct connection *connection, enum connection_phase phase)
{
	connection_set_enter(connection, phase);
	if (phase != PHASE_ANSWERING)
		set_deadline(connection);
}

/* Whom a connection waits for, of our own processes; NULL: for its client. */
static const char *awaited(const struct connection *connection)
{
	if (signer_link_is_waiting(&connection->signing))
		return "signer";
	return connection->phase == PHASE_ASKING ? "broker" : NULL;
}
static void end_pause(struct connection *connection);

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
	struct connection *connection = context;
	const char *late = awaited(connection);
	struct log_limit_text more;

	(void)fd;
	(void)what;
	connection->timer_ms = 0;
	if (now_ms(connection) < connection->deadline_ms) {
		set_timer(connection);
		return;
	}
	if (connection->phase == PHASE_PAUSING) {
		end_pause(connection);
		return;
	}
	if (connection->phase == PHASE_KEYLESS) {
		advance(connection);
		return;
	}
	if (!late)
		log_debug("%s: time is up: %s", client_address_text(&connection->client).s,
			phase_text(connection->phase));
	else if (log_limit_allows(&connection->set->late, now_ms(connection), &more))
		log_warning("%s: the %s has not answered in time%s",
			client_address_text(&connection->client).s, late, more.s);
	connection_close(connection);
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

static void on_io(evutil_socket_t fd, short what, void *context)
{
	struct connection *connection = context;

	(void)fd;
	(void)what;
	/* It sends, or is gone, before it was its turn: nothing is done with that yet. */
	if (awaited(connection) || connection->phase == PHASE_WAITING)
		watch(connection, 0);
	else
		advance(connection);
}

static struct connection *connection_of(struct tls_handshake *handshake)
{
	return (struct connection *)((char *)handshake - offsetof(struct connection, handshake));
}

static void begin_handshake(struct tls_handshake *handshake)
{
	struct connection *connection = connection_of(handshake);

	connection->tls_http = tls_http_new(
		connection->set->tls, connection->fd, connection->set->routes, &connection->client);
	if (!connection->tls_http) {
		log_error("%s: cannot make a TLS connection: %s",
			client_address_text(&connection->client).s, tls_error());
		connection_close(connection);
		return;
	}
	enter(connection, PHASE_HANDSHAKE);
	advance(connection);
}

static bool give_way(struct tls_handshake *handshake)
{
	struct connection *connection = connection_of(handshake);

	if (signer_link_is_waiting(&connection->signing))
		return false;
	log_debug(
		"%s: has to make room: TLS handshake", client_address_text(&connection->client).s);
	connection_close(connection);
	return true;
}

static void wait_for_handshake(struct connection *connection)
{
	connection->handshake.begin = begin_handshake;
	connection->handshake.give_way = give_way;
	enter(connection, PHASE_WAITING);
	handshake_queue_add(&connection->set->handshakes, &connection->source->handshakes,
		&connection->handshake);
}

static enum need advance_greeting(struct connection *connection)
{
	switch (greeting_look(connection->fd, &connection->greeted)) {
	case 0:
		wait_for_handshake(connection);
		return NEED_TURN;
	case -EAGAIN:
		return NEED_READ;
	case -EPROTO:
		log_debug("%s: does not speak TLS", client_address_text(&connection->client).s);
		return NEED_CLOSE;
	case -EMSGSIZE:
		log_debug("%s: its first message is too large",
			client_address_text(&connection->client).s);
		return NEED_CLOSE;
	default:
		return NEED_CLOSE;
	}
}

static void begin_answer(struct connection *connection)
{
	answer_record(connection);
	enter(connection, PHASE_ANSWERING);
}

static void on_broker_answer(struct broker_call *call, const struct ipc_reply *reply)
{
	struct connection *connection =
		(struct connection *)((char *)call - offsetof(struct connection, call));

	tls_http_answer(connection->tls_http, reply);
	begin_answer(connection);
	advance(connection);
}

static void ask_broker(struct connection *connection)
{
	connection->call.request = *tls_http_request(connection->tls_http);
	connection->call.client = connection->fd;
	connection->call.lane = &connection->source->calls;
	connection->call.answered = on_broker_answer;
	enter(connection, PHASE_ASKING);
	broker_link_ask(connection->set->broker, &connection->call);
}

static void on_signed(struct signer_waiter *waiter)
{
	advance((struct connection *)((char *)waiter - offsetof(struct connection, signing)));
}

static enum need advance_handshake(struct connection *connection)
{
	struct signer_link *signer = connection->set->signer;
	enum need need;

	connection->signing.resume = on_signed;
	signer_link_enter(signer, &connection->signing);
	need = tls_http_handshake(connection->tls_http);
	if (need == NEED_JOB)
		signer_link_wait_for_job(signer, &connection->signing);
	if (need != NEED_NOTHING)
		return need;
	handshake_queue_end(&connection->set->handshakes, &connection->handshake);
	enter(connection, PHASE_READING);
	return NEED_NOTHING;
}

/* Another connection of its source can be checked in its place. It is called as if something had
 * come: this one may be about to end. */
static void give_place_back(struct connection *connection)
{
	struct connection *next = check_places_give_back(connection);

	if (!next)
		return;
	connection_set_enter(next, PHASE_READING);
	watch(next, EV_READ);
	event_active(&next->io, EV_READ, 0);
}

static enum need answer_request(struct connection *connection)
{
	const unsigned int status = tls_http_response(connection->tls_http)->status;

	answer_record_refusal(connection);
	if (status == 401) {
		answer_record(connection);
		enter(connection, PHASE_PAUSING);
		return NEED_TURN;
	}
	give_place_back(connection);
	begin_answer(connection);
	return NEED_NOTHING;
}

static void end_pause(struct connection *connection)
{
	give_place_back(connection);
	enter(connection, PHASE_ANSWERING);
	set_deadline_at(connection, now_ms(connection) + CONNECTION_LINGER_MS);
	advance(connection);
}

/* What was read of the request leads to this. */
static enum need go_on_reading(struct connection *connection, enum need need)
{
	if (need == NEED_NOTHING)
		return answer_request(connection);
	if (need == NEED_KEY) {
		connection->keyless_ms = now_ms(connection);
		enter(connection, PHASE_KEYLESS);
		return NEED_TURN;
	}
	give_place_back(connection);
	if (need == NEED_BROKER)
		ask_broker(connection);
	return need;
}

/* It keeps its place at the check meanwhile: who makes up tokens of unknown keys gets no further
 * than who makes up passwords. */
static enum need advance_keyless(struct connection *connection)
{
	struct connection_set *set = connection->set;
	bool is_late = now_ms(connection) - connection->keyless_ms >= CONNECTION_KEY_MS;
	enum need need = tls_http_find_key(connection->tls_http, is_late, set->refuses);

	if (need == NEED_KEY) {
		set_deadline(connection);
		return NEED_TURN;
	}
	enter(connection, PHASE_READING);
	return go_on_reading(connection, need);
}

static enum need advance_reading(struct connection *connection)
{
	if (!tls_http_is_admitted(connection->tls_http) &&
		!check_places_take(connection, CONNECTION_CHECKS_MAX)) {
		connection_set_enter(connection, PHASE_HELD);
		return NEED_TURN;
	}
	return go_on_reading(
		connection, tls_http_read(connection->tls_http, connection->set->refuses));
}

/* Were the socket closed while the client still sends, the kernel would reset the connection, and
 * the client could lose the answer. It has yet to read that, so there is nothing from it now. */
static enum need advance_answering(struct connection *connection)
{
	enum need need = tls_http_write(connection->tls_http);

	if (need != NEED_NOTHING)
		return need;
	tls_http_free(connection->tls_http);
	connection->tls_http = NULL;
	enter(connection, PHASE_LINGERING);
	return NEED_READ;
}

/* What the client sends now is not even decrypted. MSG_TRUNC: tcp(7). Behind its goodbye mostly
 * comes the end at once. */
static enum need advance_lingering(struct connection *connection)
{
	ssize_t n = recv(connection->fd, NULL, DISCARD_SIZE, MSG_TRUNC);

	if (n > 0)
		n = recv(connection->fd, NULL, DISCARD_SIZE, MSG_TRUNC);
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return NEED_READ;
	return NEED_CLOSE;
}

/* Returns NEED_NOTHING where the next phase has begun. */
static enum need advance_phase(struct connection *connection)
{
	switch (connection->phase) {
	case PHASE_GREETING:
		return advance_greeting(connection);
	case PHASE_WAITING:
	case PHASE_HELD:
	case PHASE_PAUSING:
		return NEED_TURN;
	case PHASE_HANDSHAKE:
		return advance_handshake(connection);
	case PHASE_READING:
		return advance_reading(connection);
	case PHASE_KEYLESS:
		return advance_keyless(connection);
	case PHASE_ASKING:
		return NEED_BROKER;
	case PHASE_ANSWERING:
		return advance_answering(connection);
	case PHASE_LINGERING:
		return advance_lingering(connection);
	}
	return NEED_CLOSE;
}

static void log_end(const struct connection *connection)
{
	const char *doing = phase_text(connection->phase), *fault;

	if (!connection->tls_http)
		return;
	fault = tls_http_fault(connection->tls_http);
	if (fault)
		log_debug("%s: %s failed: %s", client_address_text(&connection->client).s, doing,
			fault);
	else
		log_debug("%s: the client has closed: %s",
			client_address_text(&connection->client).s, doing);
}

/* What comes within a moment, for which it is not worth to change what is watched: answers of our
 * own processes, and in general the turn of a handshake. */
static bool is_soon(const struct connection *connection, enum need need)
{
	return need == NEED_SIGNATURE || need == NEED_JOB || need == NEED_BROKER ||
	       connection->phase == PHASE_WAITING;
}

/* As far as it goes without waiting. May close the connection. */
static void advance(struct connection *connection)
{
	enum need need;

	do
		need = advance_phase(connection);
	while (need == NEED_NOTHING);
	if (need == NEED_CLOSE) {
		log_end(connection);
		connection_close(connection);
	} else if (!is_soon(connection, need)) {
		watch(connection, need == NEED_READ ? EV_READ : need == NEED_WRITE ? EV_WRITE : 0);
	}
}

struct connection *connection_new(struct connection_set *set, int fd,
	const struct client_address *client, struct source *source)
{
	struct connection *connection = calloc(1, sizeof *connection);

	if (!connection)
		return NULL;
	connection->set = set;
	connection->fd = fd;
	connection->client = *client;
	connection->source = source;
	connection->phase = PHASE_GREETING;
	connection->accepted_ms = now_ms(connection);
	evtimer_assign(&connection->deadline, set->base, on_deadline, connection);
	set_deadline(connection);
	watch(connection, EV_READ);
	return connection;
}

void connection_close(struct connection *connection)
{
	watch(connection, 0);
	evtimer_del(&connection->deadline);
	if (connection->phase == PHASE_ASKING)
		broker_link_forget(connection->set->broker, &connection->call);
	if (connection->phase == PHASE_HANDSHAKE &&
		signer_link_cancel(connection->set->signer, &connection->signing))
		tls_http_handshake(connection->tls_http);
	handshake_queue_end(&connection->set->handshakes, &connection->handshake);
	give_place_back(connection);
	tls_http_free(connection->tls_http);
	connection_set_remove(connection);
	close(connection->fd);
	free(connection);
}

bool connection_is_idle(const struct connection *connection)
{
	switch (connection->phase) {
	case PHASE_GREETING:
	case PHASE_WAITING:
		return true;
	case PHASE_READING:
	case PHASE_HELD:
		return !tls_http_has_begun(connection->tls_http);
	default:
		return false;
	}
}
