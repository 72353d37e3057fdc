#include "client/request_process.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
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

#include "base/clock.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/version.h"
#include "client/request_message.h"
#include "http/tls_client.h"
#include "client/grant.h"
#include "http/http_answer.h"

enum {
	CONTROL_PORT = 443,
	ADDRESSES_MAX = 3, /* of a name that are tried */
	CONNECT_TIME_MS = 3000, /* for each of them */
	SILENCE_MS = 8000, /* of the server's; the client ends us in any case */
	BODY_MAX = 128,
	HEAD_MAX = 1024, /* of a request, without the password */
};

struct fetch {
	struct fetch_request request;
	struct fetch_result result;
	int ca_fd;
	int sockets[ADDRESSES_MAX]; /* one an address: marking them takes a right */
	SSL_CTX *tls;
	SSL *ssl;
	int fd; /* the connected one of the sockets */
	char answer[HTTP_ANSWER_MAX + 1];
};

__attribute__((format(printf, 2, 3))) static int fail(struct fetch *fetch, const char *format, ...)
{
	va_list args;

	fetch->result.outcome = FETCH_FAILED;
	va_start(args, format);
	vsnprintf(fetch->result.text, sizeof fetch->result.text, format, args);
	va_end(args);
	return -EIO;
}

static int open_socket(const struct fetch_request *request)
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

/* What takes a right. */
static int open_all(struct fetch *fetch)
{
	if (fetch->request.ca_file[0] != '\0') {
		fetch->ca_fd = open(fetch->request.ca_file, O_RDONLY | O_CLOEXEC);
		if (fetch->ca_fd < 0)
			return fail(fetch, "--cacert: cannot open the file: %s", strerror(errno));
	}
	for (int i = 0; i < ADDRESSES_MAX; i++) {
		fetch->sockets[i] = open_socket(&fetch->request);
		if (fetch->sockets[i] < 0)
			return fail(
				fetch, "cannot make a socket: %s", strerror(-fetch->sockets[i]));
	}
	return 0;
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

static int find_addresses(struct fetch *fetch, struct ipv4 *addresses, size_t *n)
{
	static const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	int error;

	if (fetch->request.address.value != 0) {
		addresses[0] = fetch->request.address;
		*n = 1;
		return 0;
	}
	error = getaddrinfo(fetch->request.server, NULL, &hints, &list);
	if (error != 0)
		return fail(fetch, "cannot find %s: %s", fetch->request.server,
			error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
	for (const struct addrinfo *one = list; one && *n < ADDRESSES_MAX; one = one->ai_next)
		addresses[(*n)++] = ipv4_from_net(
			((const struct sockaddr_in *)(const void *)one->ai_addr)->sin_addr.s_addr);
	freeaddrinfo(list);
	return 0;
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

static int note_ends(struct fetch *fetch, struct ipv4 server)
{
	struct sockaddr_in local;
	socklen_t length = sizeof local;

	if (getsockname(fetch->fd, (struct sockaddr *)&local, &length) < 0)
		return fail(fetch, "cannot find out the own address: %s", strerror(errno));
	fetch->result.tunnel.server = server;
	fetch->result.tunnel.local = ipv4_from_net(local.sin_addr.s_addr);
	return 0;
}

static int connect_to_server(struct fetch *fetch)
{
	struct ipv4 addresses[ADDRESSES_MAX];
	size_t n = 0;
	int error = find_addresses(fetch, addresses, &n);

	if (error < 0)
		return error;
	for (size_t i = 0; i < n; i++) {
		error = try_address(fetch->sockets[i], addresses[i]);
		if (error == 0) {
			fetch->fd = fetch->sockets[i];
			return note_ends(fetch, addresses[i]);
		}
		fail(fetch, "cannot connect to %s: %s", ipv4_text(addresses[i]).s,
			strerror(-error));
	}
	return error < 0 ? error : fail(fetch, "%s has no address", fetch->request.server);
}

static int shake_hands(struct fetch *fetch)
{
	const char *fault;

	fetch->ssl = fetch_tls_connect(fetch->tls, fetch->fd, fetch->request.server, &fault);
	return fetch->ssl ? 0 : fail(fetch, "TLS: %s", fault);
}

/* Asks the client whether it is the right server. Nothing is said to a wrong one. */
static int await_verdict(struct fetch *fetch)
{
	struct fetch_seen seen;
	struct fetch_verdict verdict = {0};

	if (fetch_tls_look(fetch->ssl, &seen) < 0)
		return fail(fetch, "TLS: the server has no certificate");
	if (write(FETCH_FD, &seen, sizeof seen) != sizeof seen ||
		read(FETCH_FD, &verdict, sizeof verdict) != sizeof verdict || verdict.go_on != 1)
		return fail(fetch, "refused");
	return 0;
}

static int send_request(struct fetch *fetch)
{
	const struct fetch_request *request = &fetch->request;
	char text[HEAD_MAX + FETCH_PASSWORD_MAX], body[BODY_MAX] = "";
	int n, error = 0;

	if (request->tunnel == TUNNEL_WIREGUARD)
		snprintf(body, sizeof body, "{\"PeerPublicKey\":\"%s\"}",
			key_text(&request->public_key).s);
	n = snprintf(text, sizeof text,
		"POST %s HTTP/1.1\r\n"
		"Host: %s\r\n"
		"User-Agent: vprox/%s\r\n"
		"Authorization: Bearer %s\r\n"
		"Content-Type: application/json\r\n"
		"Content-Length: %zu\r\n"
		"Connection: close\r\n"
		"\r\n%s",
		request->path, request->server, version_number, request->password, strlen(body),
		body);
	if (n >= (int)sizeof text)
		error = fail(fetch, "the request is too long");
	else if (SSL_write(fetch->ssl, text, n) != n)
		error = fail(fetch, "cannot send the request");
	explicit_bzero(text, sizeof text);
	return error;
}

static int receive_answer(struct fetch *fetch, struct http_answer *answer)
{
	size_t used = 0;
	int error = -EAGAIN;

	while (error == -EAGAIN) {
		int n = used < HTTP_ANSWER_MAX ? SSL_read(fetch->ssl, fetch->answer + used,
							 (int)(HTTP_ANSWER_MAX - used))
					       : 0;

		if (n <= 0 && SSL_get_error(fetch->ssl, n) != SSL_ERROR_ZERO_RETURN && used == 0)
			return fail(fetch, "no answer: %s",
				errno == EAGAIN ? "the server is silent" : "connection lost");
		used += n > 0 ? (size_t)n : 0;
		fetch->answer[used] = '\0';
		error = http_answer_parse(fetch->answer, used, n <= 0, time(NULL), answer);
	}
	return error < 0 ? fail(fetch, "what came is no HTTP answer, or not a whole one") : 0;
}

static void take_answer(struct fetch *fetch, const struct http_answer *answer)
{
	struct fetch_result *result = &fetch->result;
	const char *fault;

	result->outcome = FETCH_ANSWERED;
	result->status = answer->status;
	result->has_retry_after = answer->has_retry_after;
	result->retry_after_s = answer->retry_after_s;
	if (answer->status != 200) {
		size_t line = strcspn(answer->body, "\r\n");

		if (line > answer->body_length)
			line = answer->body_length;
		snprintf(result->text, sizeof result->text, "%.*s",
			line < sizeof result->text ? (int)line : (int)sizeof result->text,
			answer->body);
		return;
	}
	if (grant_parse(answer->body, answer->body_length, fetch->request.tunnel, &result->tunnel) <
		0)
		fail(fetch, "the answer is none of a vprox server's");
	else if ((fault = tunnel_fault(&result->tunnel, fetch->request.tunnel)))
		fail(fetch, "the answer cannot be used: %s", fault);
	else
		result->outcome = FETCH_GRANTED;
}

static int ask(struct fetch *fetch)
{
	struct http_answer answer;
	const char *fault;
	int error = open_all(fetch);

	if (error < 0)
		return error;
	warm_up();
	if (sandbox_drop_privileges(fetch->request.user, fetch->request.group) < 0)
		return fail(fetch, "cannot give up privileges");
	fetch->tls = fetch_tls_new(fetch->ca_fd, fetch->request.server, &fault);
	if (!fetch->tls)
		return fail(fetch, "%s", fault);
	error = connect_to_server(fetch);
	if (error == 0 && sandbox_filter_calls() < 0)
		error = fail(fetch, "cannot limit the system calls");
	if (error == 0)
		error = shake_hands(fetch);
	if (error == 0)
		error = await_verdict(fetch);
	if (error == 0)
		error = send_request(fetch);
	if (error == 0)
		error = receive_answer(fetch, &answer);
	if (error == 0)
		take_answer(fetch, &answer);
	return error;
}

int fetch_main(void)
{
	struct fetch *fetch = calloc(1, sizeof *fetch);

	if (!fetch ||
		read(FETCH_FD, &fetch->request, sizeof fetch->request) != sizeof fetch->request) {
		free(fetch);
		return EXIT_FAILURE;
	}
	log_setup(fetch->request.log_level, fetch->request.log_format, "fetch");
	fetch->ca_fd = -1;
	ask(fetch);
	if (write(FETCH_FD, &fetch->result, sizeof fetch->result) < 0) {
		/* the client has gone, or has heard enough */
	}
	SSL_free(fetch->ssl);
	SSL_CTX_free(fetch->tls);
	explicit_bzero(fetch, sizeof *fetch);
	free(fetch);
	return EXIT_SUCCESS;
}
