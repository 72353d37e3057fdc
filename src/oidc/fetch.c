/* Asks an issuer for its keys. Runs in the process that fetches them, which does nothing else
 * meanwhile. */
#include "oidc/fetch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/version.h"
#include "http/exchange.h"
#include "http/tls_client.h"
#include "ipc/names.h"
#include "oidc/discovery.h"
#include "oidc/jwks.h"

enum {
	REQUEST_MAX = 2 * WEB_TARGET_SIZE,
};

struct fetching {
	SSL_CTX *tls;
	struct names *names;
	struct issuer_fetched *fetched;
	struct web_place place;
	struct names_answer found; /* where the host is; then where it has answered */
	struct exchange_target target;
	struct web_exchange exchange;
	uint64_t deadline_ms;
};

/* What others say may come to be in it; the log is printable. */
__attribute__((format(printf, 3, 4))) static int fail(
	struct fetching *fetching, int error, const char *format, ...)
{
	char *fault = fetching->fetched->fault;
	va_list args;

	va_start(args, format);
	vsnprintf(fault, ISSUER_FAULT_SIZE, format, args);
	va_end(args);
	for (; *fault; fault++)
		if (*fault < ' ' || *fault > '~')
			*fault = '?';
	return error;
}

/* An address as names_answer has it, without its brackets. Returns false for what is none. */
static bool set_address(struct exchange_target *target, const char *text, uint32_t port)
{
	struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};

	if (inet_pton(AF_INET, text, &ipv4.sin_addr) == 1) {
		memcpy(&target->address, &ipv4, sizeof ipv4);
		target->address_length = sizeof ipv4;
		return true;
	}
	memcpy(&target->address, &ipv6, sizeof ipv6);
	target->address_length = sizeof ipv6;
	return inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&target->address)->sin6_addr) ==
	       1;
}

/* An answer that comes late is one to another question. */
static int look_up(struct fetching *fetching)
{
	const char *host = fetching->place.server.host;
	struct names_answer *answer = &fetching->found;
	int error;

	if (strcmp(answer->host, host) == 0)
		return 0;
	error = names_ask(fetching->names, host);
	while (error == 0) {
		uint64_t now_ms = clock_now_ms(&system_clock), end_ms = fetching->deadline_ms;

		error = names_receive(
			fetching->names, now_ms < end_ms ? (int)(end_ms - now_ms) : 0, answer);
		if (error == 0 && strcmp(answer->host, host) == 0)
			break;
	}
	if (error < 0)
		return fail(fetching, error, "cannot find %.100s: %s", host, strerror(-error));
	if (answer->addresses[0] == '\0')
		return fail(fetching, -ENOENT, "cannot find %.100s: %s", host, answer->reason);
	return 0;
}

static void get_from_one(struct fetching *fetching, uint64_t deadline_ms)
{
	const struct url *server = &fetching->place.server;
	char text[REQUEST_MAX];
	int n = snprintf(text, sizeof text,
		"GET %s HTTP/1.1\r\n"
		"Host: %s:%u\r\n"
		"User-Agent: vprox/%s\r\n"
		"Accept: application/json\r\n"
		"Connection: close\r\n"
		"\r\n",
		fetching->place.target, server->host, (unsigned int)server->port, version_number);

	exchange_end(&fetching->exchange);
	exchange_begin(&fetching->exchange, &fetching->target, text, (size_t)n, deadline_ms);
	exchange_finish(&fetching->exchange);
}

/* One that is silent leaves time for those behind it; to a slow one the half of it is enough. */
static uint64_t end_of_one(const struct fetching *fetching, bool is_last)
{
	const uint64_t now_ms = clock_now_ms(&system_clock), end_ms = fetching->deadline_ms;

	return is_last || now_ms >= end_ms ? end_ms : now_ms + (end_ms - now_ms) / 2;
}

/* From the first address of the host that gives an answer. */
static bool get_from_any(struct fetching *fetching)
{
	const struct url *server = &fetching->place.server;
	char *addresses = fetching->found.addresses, *rest;

	fetching->target = (struct exchange_target){.tls = fetching->tls, .server = server->host};
	for (char *one = strtok_r(addresses, "[],", &rest); one;
		one = strtok_r(NULL, "[],", &rest)) {
		if (set_address(&fetching->target, one, server->port))
			get_from_one(fetching, end_of_one(fetching, *rest == '\0'));
		if (fetching->exchange.state != EXCHANGE_DONE)
			continue;
		memmove(addresses, one, strlen(one) + 1);
		return true;
	}
	return false;
}

/* What is at fetching->place. */
static int get_place(struct fetching *fetching)
{
	const struct url *server = &fetching->place.server;
	int error = look_up(fetching);

	if (error < 0)
		return error;
	if (tls_client_require(fetching->tls, server->host) < 0)
		return fail(fetching, -EINVAL, "cannot set up TLS");
	if (!get_from_any(fetching))
		return fail(
			fetching, -EPROTO, "%.100s: %s", server->host, fetching->exchange.fault);
	if (fetching->exchange.answer.status != 200)
		return fail(fetching, -EPROTO, "%.100s: answered %u", server->host,
			fetching->exchange.answer.status);
	return 0;
}

static int find_keys(struct fetching *fetching, const char *issuer)
{
	const struct http_answer *answer = &fetching->exchange.answer;
	int error = discovery_place(issuer, &fetching->place);

	if (error < 0)
		return fail(fetching, error, "it is no https:// URL");
	error = get_place(fetching);
	if (error < 0)
		return error;
	error = discovery_parse(answer->body, answer->body_length, issuer, &fetching->place);
	if (error == -EXDEV)
		return fail(fetching, error, "its configuration names another issuer");
	if (error == -EINVAL)
		return fail(fetching, error, "its jwks_uri is no https:// URL");
	return error < 0 ? fail(fetching, error, "its configuration names no jwks_uri") : 0;
}

static int take_keys(struct fetching *fetching)
{
	const struct http_answer *answer = &fetching->exchange.answer;
	int n = get_place(fetching);

	if (n < 0)
		return n;
	n = jwks_parse(answer->body, answer->body_length, fetching->fetched->keys);
	if (n == -ENOENT)
		return fail(fetching, n,
			"none of its keys is for signatures of RS256, with 2048 bits or more, or "
			"of ES256");
	if (n == -E2BIG)
		return fail(fetching, n, "it has more than %d keys", ISSUER_KEYS_MAX);
	if (n < 0)
		return fail(fetching, n, "what is at its jwks_uri is no set of keys");
	fetching->fetched->n = (uint32_t)n;
	return 0;
}

void fetch_keys(
	SSL_CTX *tls, struct names *names, const char *issuer, struct issuer_fetched *fetched)
{
	auto_free struct fetching *fetching = calloc(1, sizeof *fetching);

	memset(fetched, 0, sizeof *fetched);
	fetched->version = ISSUER_FETCH_VERSION;
	if (!fetching) {
		strcpy(fetched->fault, "out of memory");
		return;
	}
	fetching->tls = tls;
	fetching->exchange.fd = -1;
	fetching->deadline_ms = clock_now_ms(&system_clock) + FETCH_MS;
	fetching->names = names;
	fetching->fetched = fetched;
	if (find_keys(fetching, issuer) == 0)
		take_keys(fetching);
	exchange_end(&fetching->exchange);
	if (fetched->n == 0)
		memset(fetched->keys, 0, sizeof fetched->keys);
}
