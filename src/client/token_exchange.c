/* Asks for a token over HTTPS: the life of a request process of its own, in the order of run(). */
#include "client/token_exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "base/clock.h"
#include "base/sandbox.h"
#include "base/version.h"
#include "client/marked_sockets.h"
#include "client/request_message.h"
#include "client/token_answer.h"
#include "http/exchange.h"
#include "http/tls_client.h"

enum {
	MOST_ADDRESSES = 4,
	TIME_MS = 8000, /* for all of them: the client ends us in any case */
	REQUEST_SIZE = WEB_TARGET_SIZE + URL_HOST_SIZE + REQUEST_BEARER_MAX + 256,
	STATUS_OK_ANSWER = 200,
	HTTPS_PORT = 443,
};

struct token_exchange {
	const struct request_order *order;
	struct request_result *result;
	struct request_token_order where;
	struct request_token token;
	SSL_CTX *tls;
	int sockets[MOST_ADDRESSES];
	size_t n; /* sockets, and addresses to ask */
	struct exchange_target target;
	struct web_exchange exchange;
	char request[REQUEST_SIZE];
};

__attribute__((format(printf, 2, 3))) static int fail(
	struct token_exchange *own, const char *format, ...)
{
	va_list args;

	own->result->outcome = REQUEST_FAILED;
	va_start(args, format);
	vsnprintf(own->result->text, sizeof own->result->text, format, args);
	va_end(args);
	return -EIO;
}

static int read_where(struct token_exchange *own)
{
	if (read(REQUEST_FD, &own->where, sizeof own->where) != sizeof own->where ||
		own->where.names.n < 1)
		return fail(own, "what to ask has not come");
	own->n = own->where.names.n < MOST_ADDRESSES ? own->where.names.n : MOST_ADDRESSES;
	return 0;
}

static int open_sockets(struct token_exchange *own)
{
	for (size_t i = 0; i < own->n; i++) {
		own->sockets[i] = marked_socket_open(AF_INET, SOCK_STREAM, own->order->mark);
		if (own->sockets[i] < 0)
			return fail(own, "cannot make a socket: %s", strerror(-own->sockets[i]));
	}
	return 0;
}

/* The file is opened with the client's rights, as --cacert's is, and parsed without. */
static int confine(struct token_exchange *own)
{
	const char *file = own->order->ca_file, *fault;
	int authorities = open(file, O_RDONLY | O_CLOEXEC);

	if (authorities < 0)
		return fail(
			own, "cannot open the authorities' file %.100s: %s", file, strerror(errno));
	if (sandbox_drop_privileges(own->order->user, own->order->group) < 0)
		return fail(own, "cannot give up privileges");
	own->tls = tls_client_new(authorities, own->where.place.server.host, &fault);
	if (!own->tls)
		return fail(own, "%.100s: cannot set up TLS with the certificates in it", file);
	return sandbox_filter_calls_of_asker() < 0 ? fail(own, "cannot limit the system calls") : 0;
}

static size_t write_request(struct token_exchange *own)
{
	const struct web_place *place = &own->where.place;
	char port[sizeof ":65535"] = "";

	if (place->server.port != HTTPS_PORT)
		snprintf(port, sizeof port, ":%u", (unsigned int)(uint16_t)place->server.port);
	return (size_t)snprintf(own->request, sizeof own->request,
		"GET %s HTTP/1.1\r\n"
		"Host: %s%s\r\n"
		"User-Agent: vprox/%s\r\n"
		"Accept: application/json\r\n"
		"Authorization: bearer %s\r\n"
		"Connection: close\r\n"
		"\r\n",
		place->target, place->server.host, port, version_number, own->where.bearer);
}

static void set_address(struct token_exchange *own, size_t i)
{
	const struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)own->where.place.server.port),
		.sin_addr.s_addr = ipv4_to_net(own->where.names.addresses[i])};

	own->target = (struct exchange_target){.tls = own->tls,
		.server = own->where.place.server.host,
		.address_length = sizeof to,
		.has_socket = true,
		.socket = own->sockets[i]};
	memcpy(&own->target.address, &to, sizeof to);
}

/* Each address has its share of the time. */
static int ask(struct token_exchange *own)
{
	const uint64_t end_ms = clock_now_ms(&system_clock) + TIME_MS;
	const size_t length = write_request(own);

	if (length >= sizeof own->request)
		return fail(own, "the request is too long");
	for (size_t i = 0; i < own->n && own->exchange.state != EXCHANGE_DONE; i++) {
		const uint64_t now_ms = clock_now_ms(&system_clock);

		set_address(own, i);
		exchange_end(&own->exchange);
		exchange_begin(&own->exchange, &own->target, own->request, length,
			now_ms < end_ms ? now_ms + (end_ms - now_ms) / (own->n - i) : now_ms);
		exchange_finish(&own->exchange);
	}
	return own->exchange.state == EXCHANGE_DONE
		       ? 0
		       : fail(own, "%.100s: %s", own->where.place.server.host, own->exchange.fault);
}

static int read_answer(struct token_exchange *own)
{
	const struct http_answer *answer = &own->exchange.answer;
	const char *host = own->where.place.server.host;
	int error;

	if (answer->status != STATUS_OK_ANSWER)
		return fail(own, "%.100s: answered %u", host, answer->status);
	error = token_answer_parse(answer->body, answer->body_length, &own->token);
	if (error == -E2BIG)
		return fail(own, "%.100s: its token has more than %d characters", host,
			REQUEST_PASSWORD_MAX - 1);
	if (error == -EINVAL)
		return fail(own, "%.100s: its token has characters that none has", host);
	return error < 0 ? fail(own, "%.100s: its answer has no token", host) : 0;
}

static void run(struct token_exchange *own)
{
	int error = read_where(own);

	if (error == 0)
		error = open_sockets(own);
	if (error == 0)
		error = confine(own);
	if (error == 0)
		error = ask(own);
	if (error == 0)
		error = read_answer(own);
	if (error == 0 && write(REQUEST_FD, &own->token, sizeof own->token) < 0) {
		/* the client has gone, or has heard enough */
	}
}

void token_exchange_run(const struct request_order *order, struct request_result *result)
{
	struct token_exchange *own = calloc(1, sizeof *own);

	if (!own)
		return;
	own->order = order;
	own->result = result;
	own->exchange.fd = -1;
	run(own);
	exchange_end(&own->exchange);
	SSL_CTX_free(own->tls);
	explicit_bzero(own, sizeof *own);
	free(own);
}
