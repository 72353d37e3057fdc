/* Takes an exchange with a web server on, step by step. Runs in processes without rights that ask
 * such servers. */
#include "http/exchange.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/clock.h"
#include "http/tls_client.h"
#include "http/tls_error.h"

static void wipe_request(struct web_exchange *exchange)
{
	if (exchange->request)
		explicit_bzero(exchange->request, exchange->length);
	free(exchange->request);
	exchange->request = NULL;
}

static void disconnect(struct web_exchange *exchange)
{
	SSL_free(exchange->ssl);
	exchange->ssl = NULL;
	if (exchange->fd >= 0)
		close(exchange->fd);
	exchange->fd = -1;
	exchange->events = 0;
	wipe_request(exchange);
}

static void fail(struct web_exchange *exchange, const char *what)
{
	snprintf(exchange->fault, sizeof exchange->fault, "%s", what);
	exchange->state = EXCHANGE_FAILED;
	disconnect(exchange);
}

/* What a call of the library's has come to: bytes, 0 at the end, -EAGAIN, or -EIO. */
static int result_of(struct web_exchange *exchange, int n)
{
	switch (n > 0 ? SSL_ERROR_NONE : SSL_get_error(exchange->ssl, n)) {
	case SSL_ERROR_NONE:
		return n;
	case SSL_ERROR_WANT_READ:
		exchange->events = POLLIN;
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		exchange->events = POLLOUT;
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		return -EIO;
	}
}

static int result_of_socket(struct web_exchange *exchange, ssize_t n, short events)
{
	if (n >= 0)
		return (int)n;
	exchange->events = events;
	return errno == EAGAIN || errno == EINTR ? -EAGAIN : -errno;
}

static int put(struct web_exchange *exchange)
{
	const char *rest = exchange->request + exchange->sent;
	const size_t n = exchange->length - exchange->sent;

	ERR_clear_error();
	if (exchange->ssl)
		return result_of(exchange, SSL_write(exchange->ssl, rest, (int)n));
	return result_of_socket(exchange, send(exchange->fd, rest, n, MSG_NOSIGNAL), POLLOUT);
}

static int get(struct web_exchange *exchange)
{
	char *free_part = exchange->data + exchange->used;
	const size_t n = EXCHANGE_ANSWER_MAX - exchange->used;

	ERR_clear_error();
	if (exchange->ssl)
		return result_of(exchange, SSL_read(exchange->ssl, free_part, (int)n));
	return result_of_socket(exchange, recv(exchange->fd, free_part, n, 0), POLLIN);
}

static void begin_sending(struct web_exchange *exchange)
{
	exchange->state = EXCHANGE_SENDING;
	exchange->events = POLLOUT;
}

static void connected(struct web_exchange *exchange)
{
	const char *fault;
	int error = 0;
	socklen_t length = sizeof error;

	if (getsockopt(exchange->fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
		error = errno;
	if (error != 0) {
		fail(exchange, strerror(error));
		return;
	}
	if (!exchange->target->tls) {
		begin_sending(exchange);
		return;
	}
	exchange->ssl = tls_client_open(
		exchange->target->tls, exchange->fd, exchange->target->server, &fault);
	if (!exchange->ssl) {
		fail(exchange, fault);
		return;
	}
	exchange->state = EXCHANGE_SHAKING;
	exchange->events = POLLOUT;
}

/* Nothing is sent to another one. */
static void recognise(struct web_exchange *exchange)
{
	struct tls_server server;

	if (tls_client_inspect(exchange->ssl, &server) < 0)
		fail(exchange, "TLS: the server has no certificate");
	else if (!server.is_certified)
		fail(exchange, server.fault);
	else
		begin_sending(exchange);
}

static void shake(struct web_exchange *exchange)
{
	int n;

	ERR_clear_error();
	n = result_of(exchange, SSL_connect(exchange->ssl));
	if (n > 0)
		recognise(exchange);
	else if (n != -EAGAIN)
		fail(exchange, ERR_peek_last_error()
				       ? tls_error()
				       : "the connection was closed in the TLS handshake");
}

static void send_on(struct web_exchange *exchange)
{
	int n = put(exchange);

	if (n == -EAGAIN)
		return;
	if (n <= 0) {
		fail(exchange, "the connection was lost");
		return;
	}
	exchange->sent += (size_t)n;
	if (exchange->sent < exchange->length)
		return;
	wipe_request(exchange);
	exchange->state = EXCHANGE_RECEIVING;
	exchange->events = POLLIN;
}

static void parse(struct web_exchange *exchange, bool ended)
{
	int error = http_answer_parse(
		exchange->data, exchange->used, ended, time(NULL), &exchange->answer);

	if (error == 0) {
		exchange->state = EXCHANGE_DONE;
		disconnect(exchange);
	} else if (error != -EAGAIN || ended) {
		fail(exchange, "what came is no HTTP answer, or not a whole one");
	} else if (exchange->used == EXCHANGE_ANSWER_MAX) {
		fail(exchange, "the answer is too long");
	}
}

static void receive_on(struct web_exchange *exchange)
{
	int n = get(exchange);

	if (n == -EAGAIN)
		return;
	if (n < 0 && exchange->used == 0) {
		fail(exchange, "the connection was lost");
		return;
	}
	exchange->used += n > 0 ? (size_t)n : 0;
	exchange->data[exchange->used] = '\0';
	parse(exchange, n <= 0);
}

void exchange_advance(struct web_exchange *exchange)
{
	if (exchange->fd >= 0 && clock_now_ms(&system_clock) >= exchange->deadline_ms) {
		fail(exchange, "there was no answer in time");
		return;
	}
	switch (exchange->state) {
	case EXCHANGE_CONNECTING:
		connected(exchange);
		break;
	case EXCHANGE_SHAKING:
		shake(exchange);
		break;
	case EXCHANGE_SENDING:
		send_on(exchange);
		break;
	case EXCHANGE_RECEIVING:
		receive_on(exchange);
		break;
	default:
		break;
	}
}

static int start(struct web_exchange *exchange, const char *request)
{
	const struct exchange_target *target = exchange->target;

	exchange->fd = target->has_socket ? target->socket : -1;
	exchange->request = malloc(exchange->length);
	exchange->data = malloc(EXCHANGE_ANSWER_MAX + 1);
	if (!exchange->request || !exchange->data)
		return -ENOMEM;
	memcpy(exchange->request, request, exchange->length);
	if (exchange->fd < 0)
		exchange->fd = socket(target->address.ss_family,
			SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
	if (exchange->fd < 0)
		return -errno;
	if (connect(exchange->fd, (const struct sockaddr *)&target->address,
		    target->address_length) < 0 &&
		errno != EINPROGRESS)
		return -errno;
	exchange->state = EXCHANGE_CONNECTING;
	exchange->events = POLLOUT;
	return 0;
}

void exchange_begin(struct web_exchange *exchange, const struct exchange_target *target,
	const char *request, size_t length, uint64_t deadline_ms)
{
	int error;

	*exchange = (struct web_exchange){
		.fd = -1, .target = target, .length = length, .deadline_ms = deadline_ms};
	error = start(exchange, request);
	if (error < 0)
		fail(exchange, strerror(-error));
}

void exchange_finish(struct web_exchange *exchange)
{
	while (exchange->state != EXCHANGE_DONE && exchange->state != EXCHANGE_FAILED) {
		struct pollfd socket = {.fd = exchange->fd, .events = exchange->events};
		uint64_t now_ms = clock_now_ms(&system_clock);

		if (now_ms < exchange->deadline_ms)
			poll(&socket, 1, (int)(exchange->deadline_ms - now_ms));
		exchange_advance(exchange);
	}
}

void exchange_end(struct web_exchange *exchange)
{
	if (exchange->state == EXCHANGE_IDLE)
		return;
	disconnect(exchange);
	if (exchange->data)
		explicit_bzero(exchange->data, exchange->used); /* it may be a token */
	free(exchange->data);
	*exchange = (struct web_exchange){.fd = -1};
}
