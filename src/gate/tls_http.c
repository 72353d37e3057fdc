#include "gate/tls_http.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <openssl/err.h>

#include "base/log.h"
#include "gate/admission.h"
#include "gate/http.h"
#include "gate/tls.h"

enum {
	READ_SIZE = 16 * 1024, /* a whole TLS record: what is left over in the library would wake
				  nobody */
};

struct exchange {
	struct connection *connection;
	SSL *ssl;
	bool tls_failed; /* nothing more can be sent, not even a goodbye */
	bool is_head; /* the method is HEAD: the answer has no body */
	const struct route *route;
	struct broker_call call;
	size_t out_length;
	char out[RESPONSE_MAX];
	struct http_parser parser;
};

static void answered(struct broker_call *call, const struct ipc_reply *reply);

struct exchange *exchange_new(struct connection *connection)
{
	struct exchange *exchange = malloc(sizeof *exchange);

	if (!exchange)
		return NULL;
	memset(exchange, 0, offsetof(struct exchange, out));
	http_init(&exchange->parser);
	exchange->connection = connection;
	exchange->call.answered = answered;
	exchange->ssl = tls_accept(connection->set->tls, connection->fd);
	if (!exchange->ssl) {
		free(exchange);
		return NULL;
	}
	return exchange;
}

void exchange_free(struct exchange *exchange)
{
	if (exchange->connection->phase == PHASE_ASKING)
		broker_link_forget(exchange->connection->set->broker, &exchange->call);
	if (!exchange->tls_failed && SSL_is_init_finished(exchange->ssl)) {
		ERR_clear_error();
		SSL_shutdown(exchange->ssl);
		ERR_clear_error();
	}
	SSL_free(exchange->ssl);
	http_wipe(&exchange->parser);
	free(exchange);
}

bool exchange_has_begun(const struct exchange *exchange)
{
	return http_has_begun(&exchange->parser);
}

/* After a function of the library that did not succeed. */
static enum step tls_step(struct connection *connection, int result)
{
	struct exchange *exchange = connection->exchange;

	switch (SSL_get_error(exchange->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return STEP_READ;
	case SSL_ERROR_WANT_WRITE:
		return STEP_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		log_debug("%s: the client has closed: %s", client_text(&connection->client).s,
			connection_doing(connection));
		return STEP_CLOSE;
	default:
		exchange->tls_failed = true;
		log_debug("%s: %s failed: %s", client_text(&connection->client).s,
			connection_doing(connection),
			ERR_peek_error() ? tls_error() : "the connection is broken");
		return STEP_CLOSE;
	}
}

enum step exchange_handshake(struct connection *connection)
{
	int result;

	ERR_clear_error();
	result = SSL_do_handshake(connection->exchange->ssl);
	if (result != 1)
		return tls_step(connection, result);
	tls_accepted(connection->exchange->ssl);
	connection_set_deadline(connection, connection->accepted_ms + CONNECTION_REQUEST_MS);
	connections_enter(connection, PHASE_READING);
	return STEP_ON;
}

static void log_refusal(struct connection *connection, const struct response *response)
{
	struct connections *set = connection->set;
	struct log_limit_text more;

	if (response->status == 401) {
		if (log_limit_take(&set->unauthorized, clock_now_ms(set->clock), &more))
			log_info("%s: no or wrong bearer%s", client_text(&connection->client).s,
				more.s);
	} else if (response->status >= 400) {
		log_debug("%s: answered %u %.*s", client_text(&connection->client).s,
			response->status, (int)strcspn(response->body, "\n"), response->body);
	}
}

static enum step respond(struct connection *connection, const struct response *response)
{
	struct exchange *exchange = connection->exchange;

	log_refusal(connection, response);
	exchange->out_length =
		response_write(response, !exchange->is_head, time(NULL), exchange->out);
	connections_enter(connection, PHASE_ANSWERING);
	return STEP_ON;
}

static enum step serve(struct connection *connection)
{
	struct connections *set = connection->set;
	struct exchange *exchange = connection->exchange;
	struct response response;
	size_t length;
	const char *body = http_body(&exchange->parser, &length);

	if (!routes_serve(set->routes, exchange->route, &connection->client, set->draining, body,
		    length, &response, &exchange->call.request))
		return respond(connection, &response);
	connection_set_deadline(connection, clock_now_ms(set->clock) + CONNECTION_ANSWER_MS);
	connections_enter(connection, PHASE_ASKING);
	broker_link_ask(set->broker, &exchange->call);
	return STEP_WAIT;
}

static void answered(struct broker_call *call, const struct ipc_reply *reply)
{
	struct exchange *exchange =
		(struct exchange *)((char *)call - offsetof(struct exchange, call));
	struct connection *connection = exchange->connection;
	struct response response;

	routes_answer(
		connection->set->routes, exchange->route, &connection->client, reply, &response);
	respond(connection, &response);
	connection_advance(connection);
}

static enum step send_continue(struct connection *connection)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct exchange *exchange = connection->exchange;

	exchange->out_length = sizeof text - 1;
	memcpy(exchange->out, text, exchange->out_length);
	connections_enter(connection, PHASE_CONTINUING);
	return STEP_ON;
}

/* Feeds what was read. Returns STEP_READ if the request is not complete. */
static enum step take(struct connection *connection, const char *data, size_t length)
{
	struct exchange *exchange = connection->exchange;
	const struct http_head *head = &exchange->parser.head;
	struct response response;
	bool wants_continue = false;
	size_t used;

	for (;; data += used, length -= used) {
		enum http_event event = http_parse(&exchange->parser, data, length, &used);

		switch (event) {
		case HTTP_MORE:
			return wants_continue ? send_continue(connection) : STEP_READ;
		case HTTP_HEAD:
			exchange->is_head = strcmp(head->method, "HEAD") == 0;
			exchange->route = routes_admit(
				connection->set->routes, head, &connection->client, &response);
			if (!exchange->route)
				return respond(connection, &response);
			/* RFC 9110, 10.1.1: not where the body is coming already. */
			wants_continue =
				head->expects_continue && head->minor_version > 0 && used == length;
			break;
		case HTTP_END:
			return serve(connection);
		default:
			routes_reject(event, &response);
			return respond(connection, &response);
		}
	}
}

/* A client with Nagle's algorithm on keeps its request back until the end of its handshake is
 * acknowledged, which TLS 1.3 gives no other reason to send: 40 ms. */
static void acknowledge(int fd)
{
	static const int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

enum step exchange_read(struct connection *connection)
{
	char buffer[READ_SIZE];
	enum step step;
	int n;

	ERR_clear_error();
	n = SSL_read(connection->exchange->ssl, buffer, sizeof buffer);
	if (n <= 0) {
		step = tls_step(connection, n);
		if (step == STEP_READ && !exchange_has_begun(connection->exchange))
			acknowledge(connection->fd);
		return step;
	}
	step = take(connection, buffer, (size_t)n);
	explicit_bzero(buffer, (size_t)n);
	return step;
}

enum step exchange_write(struct connection *connection, enum connection_phase next)
{
	struct exchange *exchange = connection->exchange;
	int n;

	/* All or nothing: the library does not write in parts unless it is told to. */
	ERR_clear_error();
	n = SSL_write(exchange->ssl, exchange->out, (int)exchange->out_length);
	if (n <= 0)
		return tls_step(connection, n);
	connections_enter(connection, next);
	return STEP_ON;
}
