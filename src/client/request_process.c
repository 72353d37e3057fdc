/*
 * One request to one address of a server, the look-up of a name, or one for a token: the whole life
 * of the process, in the order of ask(). It begins with the rights of the client that started it;
 * gives up its user, and every system call but those on open files, before a name server's or the
 * server's first byte is read.
 */
#include "client/request_process.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>
#include <openssl/ssl.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/version.h"
#include "client/grant.h"
#include "client/look_up.h"
#include "client/request_message.h"
#include "client/token_exchange.h"
#include "http/http_answer.h"
#include "http/tls_client.h"

enum {
	CONNECT_TIME_MS = 3000,
	SILENCE_MS = 8000, /* of the server's; the client ends us in any case */
	BODY_MAX = 128,
	HEAD_MAX = 1024, /* of a request, without the password */
};

struct request_process {
	struct request_order order;
	struct request_verdict verdict;
	struct request_result result;
	int ca_fd;
	SSL_CTX *tls;
	SSL *ssl;
	int fd; /* of the connection */
	char answer[HTTP_ANSWER_MAX + 1];
};

__attribute__((format(printf, 2, 3))) static int fail(
	struct request_process *process, const char *format, ...)
{
	va_list args;

	process->result.outcome = REQUEST_FAILED;
	va_start(args, format);
	vsnprintf(process->result.text, sizeof process->result.text, format, args);
	va_end(args);
	return -EIO;
}

static int open_socket(const struct request_order *request)
{
	struct timeval connect_time = timeval_from_ms(CONNECT_TIME_MS);
	struct timeval silence = timeval_from_ms(SILENCE_MS);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &connect_time, sizeof connect_time) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof silence) < 0 ||
		(request->mark != 0 && setsockopt(fd, SOL_SOCKET, SO_MARK, &request->mark,
					       sizeof request->mark) < 0)) {
		close(fd);
		return -errno;
	}
	return fd;
}

/* What needs a right. */
static int open_all(struct request_process *process)
{
	if (process->order.ca_file[0] != '\0') {
		process->ca_fd = open(process->order.ca_file, O_RDONLY | O_CLOEXEC);
		if (process->ca_fd < 0)
			return fail(process, "--cacert: cannot open the file: %s", strerror(errno));
	}
	process->fd = open_socket(&process->order);
	return process->fd < 0 ? fail(process, "cannot make a socket: %s", strerror(-process->fd))
			       : 0;
}

/* The first formatted date reads the time zone, which no file could be opened for later. */
static void warm_up(void)
{
	struct tm tm;
	time_t now = time(NULL);

	tzset();
	gmtime_r(&now, &tm);
	json_object_seed(0);
}

/* The look-up of the server's name, of whom nothing is asked. */
static int find_names(struct request_process *process, struct look_up *look_up)
{
	struct request_result *result = &process->result;
	struct request_names names = {0};

	if (sandbox_drop_privileges(process->order.user, process->order.group) < 0)
		return fail(process, "cannot give up privileges");
	if (look_up_run(look_up, process->order.server, &names, result->text, sizeof result->text) <
		0) {
		result->outcome = REQUEST_FAILED;
		return -EIO;
	}
	/* else the client has gone, or has heard enough */
	return write(REQUEST_FD, &names, sizeof names) < 0 ? -errno : 0;
}

static int look_up(struct request_process *process)
{
	struct look_up *look_up;
	int error = look_up_open(process->order.mark, &look_up);

	if (error < 0)
		return fail(process, "cannot make sockets: %s", strerror(-error));
	error = find_names(process, look_up);
	look_up_close(look_up);
	return error;
}

static int try_address(int fd, struct ipv4 address)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons(CONTROL_PORT),
		.sin_addr.s_addr = ipv4_to_net(address)};

	if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
		return 0;
	return errno == EINPROGRESS ? -ETIMEDOUT : -errno;
}

static int record_ends(struct request_process *process, struct ipv4 server)
{
	struct sockaddr_in local;
	socklen_t length = sizeof local;

	if (getsockname(process->fd, (struct sockaddr *)&local, &length) < 0)
		return fail(process, "cannot find out the own address: %s", strerror(errno));
	process->result.tunnel.server = server;
	process->result.tunnel.local = ipv4_from_net(local.sin_addr.s_addr);
	return 0;
}

static int connect_to_server(struct request_process *process)
{
	struct ipv4 address = process->order.address;
	int error = try_address(process->fd, address);

	if (error < 0)
		return fail(process, "cannot connect to %s: %s", ipv4_text(address).s,
			strerror(-error));
	return record_ends(process, address);
}

static int begin_tls(struct request_process *process)
{
	const char *fault;

	process->ssl = tls_client_connect(process->tls, process->fd, process->order.server, &fault);
	return process->ssl ? 0 : fail(process, "TLS: %s", fault);
}

/* Asks the client whether it is the right server. Nothing is sent to a wrong one. */
static int await_verdict(struct request_process *process)
{
	struct tls_server server;
	struct request_server seen;
	struct request_verdict *verdict = &process->verdict;

	if (tls_client_inspect(process->ssl, &server) < 0)
		return fail(process, "TLS: the server has no certificate");
	seen = (struct request_server){.pin = server.pin, .certified = server.is_certified};
	snprintf(seen.fault, sizeof seen.fault, "%s", server.fault);
	if (write(REQUEST_FD, &seen, sizeof seen) != sizeof seen ||
		read(REQUEST_FD, verdict, sizeof *verdict) != sizeof *verdict ||
		verdict->go_on != 1)
		return fail(process, "refused");
	return 0;
}

static bool is_get(const struct request_order *order)
{
	return strcmp(order->path, REQUEST_ROOT) == 0 || strcmp(order->path, REQUEST_VERSION) == 0;
}

static int send_request(struct request_process *process)
{
	const struct request_order *order = &process->order;
	char text[HEAD_MAX + REQUEST_PASSWORD_MAX], body[BODY_MAX] = "";
	int n, error = 0;

	if (order->tunnel == TUNNEL_WIREGUARD)
		snprintf(body, sizeof body, "{\"PeerPublicKey\":\"%s\"}",
			key_text(&order->public_key).s);
	n = snprintf(text, sizeof text,
		"%s %s HTTP/1.1\r\n"
		"Host: %s\r\n"
		"User-Agent: vprox/%s\r\n"
		"Authorization: Bearer %s\r\n"
		"Vprox-Client: %s\r\n"
		"Content-Type: application/json\r\n"
		"Content-Length: %zu\r\n"
		"Connection: close\r\n"
		"\r\n%s",
		is_get(order) ? "GET" : "POST", order->path, order->server, version_number,
		process->verdict.password, key_text(&order->client_id).s, strlen(body), body);
	if (n >= (int)sizeof text)
		error = fail(process, "the request is too long");
	else if (SSL_write(process->ssl, text, n) != n)
		error = fail(process, "cannot send the request");
	explicit_bzero(text, sizeof text);
	return error;
}

static int receive_answer(struct request_process *process, struct http_answer *answer)
{
	size_t used = 0;
	int error = -EAGAIN;

	while (error == -EAGAIN) {
		int n = used < HTTP_ANSWER_MAX ? SSL_read(process->ssl, process->answer + used,
							 (int)(HTTP_ANSWER_MAX - used))
					       : 0;

		if (n <= 0 && SSL_get_error(process->ssl, n) != SSL_ERROR_ZERO_RETURN && used == 0)
			return fail(process, "no answer: %s",
				errno == EAGAIN ? "the server is silent" : "connection lost");
		used += n > 0 ? (size_t)n : 0;
		process->answer[used] = '\0';
		error = http_answer_parse(process->answer, used, n <= 0, time(NULL), answer);
	}
	return error < 0 ? fail(process, "what came is no HTTP answer, or not a whole one") : 0;
}

static void on_answer(struct request_process *process, const struct http_answer *answer)
{
	struct request_result *result = &process->result;
	const char *fault;

	result->outcome = REQUEST_ANSWERED;
	result->status = answer->status;
	result->has_retry_after = answer->has_retry_after;
	result->retry_after_s = answer->retry_after_s;
	if (answer->status != 200 || is_get(&process->order)) {
		size_t line = strcspn(answer->body, "\r\n");

		if (line > answer->body_length)
			line = answer->body_length;
		snprintf(result->text, sizeof result->text, "%.*s",
			line < sizeof result->text ? (int)line : (int)sizeof result->text,
			answer->body);
		return;
	}
	if (grant_parse(answer->body, answer->body_length, process->order.tunnel, &result->tunnel) <
		0)
		fail(process, "the answer is none of a vprox server's");
	else if ((fault = tunnel_fault(&result->tunnel, process->order.tunnel)))
		fail(process, "the answer cannot be used: it assigned %s/%u: %s",
			ipv4_text(result->tunnel.inner).s, result->tunnel.length, fault);
	else
		result->outcome = REQUEST_GRANTED;
	grant_parse_resolvers(answer->body, answer->body_length, &result->resolvers);
}

static int ask(struct request_process *process)
{
	struct http_answer answer;
	const char *fault;
	int error = open_all(process);

	if (error < 0)
		return error;
	warm_up();
	if (sandbox_drop_privileges(process->order.user, process->order.group) < 0)
		return fail(process, "cannot give up privileges");
	process->tls = tls_client_new(process->ca_fd, process->order.server, &fault);
	if (!process->tls)
		return fail(process, "%s", fault);
	error = connect_to_server(process);
	if (error == 0 && sandbox_filter_calls(-1) < 0)
		error = fail(process, "cannot limit the system calls");
	if (error == 0)
		error = begin_tls(process);
	if (error == 0)
		error = await_verdict(process);
	if (error == 0)
		error = send_request(process);
	if (error == 0)
		error = receive_answer(process, &answer);
	if (error == 0)
		on_answer(process, &answer);
	return error;
}

static void get_token(struct request_process *process)
{
	warm_up();
	token_exchange_run(&process->order, &process->result);
}

int request_process_main(void)
{
	struct request_process *process = calloc(1, sizeof *process);
	struct request_result result;

	if (!process ||
		read(REQUEST_FD, &process->order, sizeof process->order) != sizeof process->order) {
		free(process);
		return EXIT_FAILURE;
	}
	log_open();
	log_setup(process->order.log_level, process->order.log_format, "request");
	process->ca_fd = -1;
	process->fd = -1;
	if (process->order.wants_token)
		get_token(process);
	else if (process->order.address.value == 0)
		look_up(process);
	else
		ask(process);
	result = process->result;
	if (result.outcome != 0 && write(REQUEST_FD, &result, sizeof result) < 0) {
		/* the client has gone, or has heard enough */
	}
	SSL_free(process->ssl);
	SSL_CTX_free(process->tls);
	explicit_bzero(process, sizeof *process);
	free(process);
	return EXIT_SUCCESS;
}
