/* Asks the metadata service of EC2 for this instance's addresses. Runs in a `vprox cloud` process,
 * once it is confined. What comes is text of strangers: it is checked, and counted. */
#include "cloud/metadata.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "http/exchange.h"
#include "ipc/cloud.h"
#include "ipc/packet.h"

#define SERVICE "169.254.169.254"
#define INTERFACES "/latest/meta-data/network/interfaces/macs/"
#define TOKEN_LIFE "21600" /* seconds: the most that the service gives */

enum {
	SERVICE_PORT = 80,
	INTERVAL_MS = 5000,
	TIMEOUT_MS = 2000, /* of a question */
	TOKEN_MAX = 512, /* of those that were seen, 56 bytes */
	MAC_LENGTH = 17, /* "02:29:96:8f:6a:2d" */
	MAX_INTERFACES = 64, /* no instance has more than 15 */
	REQUEST_MAX = 1024,
	STATUS_OK = 200,
	STATUS_UNAUTHORIZED = 401,
	STATUS_NOT_FOUND = 404,
};

struct metadata {
	struct exchange_target target;
	char token[TOKEN_MAX + 1]; /* "": none */
	char macs[MAX_INTERFACES][MAC_LENGTH + 1];
	size_t n_macs;
	struct cloud_list list;
	char fault[EXCHANGE_FAULT_SIZE], logged[EXCHANGE_FAULT_SIZE];
};

__attribute__((format(printf, 2, 3))) static int fail(
	struct metadata *metadata, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(metadata->fault, sizeof metadata->fault, format, args);
	va_end(args);
	return -EIO;
}

/* Returns the status of the answer, which is the caller's to end with exchange_end(), or -EIO. */
static int ask(struct metadata *metadata, const char *method, const char *path, const char *header,
	const char *value, struct web_exchange *exchange)
{
	char text[REQUEST_MAX];
	int n = snprintf(text, sizeof text,
		"%s %s HTTP/1.1\r\n"
		"Host: " SERVICE "\r\n"
		"%s: %s\r\n"
		"Content-Length: 0\r\n"
		"Connection: close\r\n"
		"\r\n",
		method, path, header, value);

	exchange_begin(exchange, &metadata->target, text, (size_t)n,
		clock_now_ms(&system_clock) + TIMEOUT_MS);
	explicit_bzero(text, sizeof text);
	exchange_finish(exchange);
	if (exchange->state == EXCHANGE_DONE)
		return (int)exchange->answer.status;
	return fail(metadata, "%s", exchange->fault);
}

/* A header's value, and no more: RFC 9110, 5.5. */
static bool is_token(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f)
			return false;
	return n > 0 && n <= TOKEN_MAX;
}

static int take_token(struct metadata *metadata, const struct http_answer *answer)
{
	if (answer->status != STATUS_OK)
		return fail(metadata, "it gives no token: HTTP status %u", answer->status);
	if (!is_token(answer->body, answer->body_length))
		return fail(metadata, "what it gives is no token");
	memcpy(metadata->token, answer->body, answer->body_length);
	metadata->token[answer->body_length] = '\0';
	return 0;
}

static int get_token(struct metadata *metadata)
{
	struct web_exchange exchange = {0};
	int error = ask(metadata, "PUT", "/latest/api/token",
		"X-aws-ec2-metadata-token-ttl-seconds", TOKEN_LIFE, &exchange);

	if (error >= 0)
		error = take_token(metadata, &exchange.answer);
	exchange_end(&exchange);
	return error;
}

static int ask_once(struct metadata *metadata, const char *path, struct web_exchange *exchange)
{
	int error = metadata->token[0] == '\0' ? get_token(metadata) : 0;

	if (error < 0)
		return error;
	return ask(metadata, "GET", path, "X-aws-ec2-metadata-token", metadata->token, exchange);
}

/* With another token, if this one is not good any more. */
static int get(struct metadata *metadata, const char *path, struct web_exchange *exchange)
{
	int status = ask_once(metadata, path, exchange);

	if (status != STATUS_UNAUTHORIZED)
		return status;
	exchange_end(exchange);
	metadata->token[0] = '\0';
	return ask_once(metadata, path, exchange);
}

/* Calls back with each line, which it may change, of an answer's text. Returns 0 or what the
 * callback has returned. */
static int for_each_line(struct metadata *metadata, const struct http_answer *answer,
	int (*take)(struct metadata *metadata, const char *line))
{
	const char *at = answer->body, *end = answer->body + answer->body_length;
	char line[64];
	int error = 0;

	while (at < end && error == 0) {
		size_t n = strcspn(at, "\r\n");

		if (n > (size_t)(end - at))
			n = (size_t)(end - at);
		if (n >= sizeof line || memchr(at, '\0', n))
			return fail(metadata, "what it says makes no sense");
		memcpy(line, at, n);
		line[n] = '\0';
		if (n > 0)
			error = take(metadata, line);
		at += n + 1;
	}
	return error;
}

/* "02:29:96:8f:6a:2d/" */
static bool read_mac(const char *line, uint8_t mac[CLOUD_MAC_SIZE])
{
	int length = 0;

	return strspn(line, "0123456789abcdefABCDEF:") == MAC_LENGTH &&
	       sscanf(line, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac[0], &mac[1], &mac[2],
		       &mac[3], &mac[4], &mac[5], &length) == CLOUD_MAC_SIZE &&
	       length == MAC_LENGTH && (line[length] == '\0' || strcmp(line + length, "/") == 0);
}

static int take_mac(struct metadata *metadata, const char *line)
{
	uint8_t mac[CLOUD_MAC_SIZE];

	if (!read_mac(line, mac))
		return fail(metadata, "what it lists as an interface is none");
	if (metadata->n_macs == MAX_INTERFACES)
		return fail(metadata, "it lists more interfaces than %d", MAX_INTERFACES);
	memcpy(metadata->macs[metadata->n_macs++], line, MAC_LENGTH);
	return 0;
}

static int take_address(struct metadata *metadata, const char *line)
{
	struct cloud_list *list = &metadata->list;
	struct cloud_address *address = &list->addresses[list->n];

	if (list->n == CLOUD_MAX_ADDRESSES)
		return fail(metadata, "it lists more addresses than %d", CLOUD_MAX_ADDRESSES);
	*address = (struct cloud_address){0};
	if (ipv4_parse(line, &address->address) < 0)
		return fail(metadata, "what it lists as an address is none");
	read_mac(metadata->macs[metadata->n_macs], address->mac);
	list->n++;
	return 0;
}

/* May be without IPv4, or have gone meanwhile. */
static int read_addresses(struct metadata *metadata)
{
	struct web_exchange exchange = {0};
	char path[128];
	int status, error = 0;

	snprintf(path, sizeof path, INTERFACES "%s/local-ipv4s", metadata->macs[metadata->n_macs]);
	status = get(metadata, path, &exchange);
	if (status == STATUS_OK)
		error = for_each_line(metadata, &exchange.answer, take_address);
	else if (status < 0)
		error = status;
	else if (status != STATUS_NOT_FOUND)
		error = fail(metadata, "HTTP status %d", status);
	exchange_end(&exchange);
	return error;
}

static int read_interfaces(struct metadata *metadata)
{
	struct web_exchange exchange = {0};
	int status = get(metadata, INTERFACES, &exchange);
	int error = status;

	metadata->n_macs = 0;
	if (status == STATUS_OK)
		error = for_each_line(metadata, &exchange.answer, take_mac);
	else if (status >= 0)
		error = fail(metadata, "HTTP status %d", status);
	exchange_end(&exchange);
	if (error == 0 && metadata->n_macs == 0)
		error = fail(metadata, "it lists no interface");
	return error;
}

/* From the last interface to the first: n_macs is the one that is read. */
static int read_all(struct metadata *metadata)
{
	int error = read_interfaces(metadata);

	metadata->list = (struct cloud_list){.version = CLOUD_VERSION};
	while (error == 0 && metadata->n_macs > 0) {
		metadata->n_macs--;
		error = read_addresses(metadata);
	}
	return error;
}

static void log_change(struct metadata *metadata)
{
	if (strcmp(metadata->logged, metadata->fault) == 0)
		return;
	if (metadata->fault[0] != '\0')
		log_error("cannot ask the metadata service for this instance's addresses, all "
			  "stays as it is: %s",
			metadata->fault);
	else
		log_info("the metadata service answers again");
	memcpy(metadata->logged, metadata->fault, sizeof metadata->logged);
}

/* A broker that has no room for it is told the next time. */
static int look(struct metadata *metadata)
{
	int error;

	metadata->fault[0] = '\0';
	error = read_all(metadata);
	log_change(metadata);
	if (error < 0)
		return 0;
	error = cloud_send_list(CLOUD_FD_BROKER, &metadata->list);
	return error == -EAGAIN ? 0 : error;
}

/* The broker says nothing: what can be read is its end. */
static int pause_until_next(void)
{
	struct pollfd broker = {.fd = CLOUD_FD_BROKER, .events = POLLIN};
	int n = poll(&broker, 1, INTERVAL_MS);

	return n < 0 && errno != EINTR ? -errno : n > 0 ? -EPIPE : 0;
}

int metadata_serve(void)
{
	struct metadata *metadata = calloc(1, sizeof *metadata);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(SERVICE_PORT)};
	int error = metadata ? 0 : -ENOMEM;

	if (error < 0)
		return error;
	inet_pton(AF_INET, SERVICE, &address.sin_addr);
	memcpy(&metadata->target.address, &address, sizeof address);
	metadata->target.address_length = sizeof address;
	while (error == 0) {
		error = look(metadata);
		log_say_lost();
		if (error == 0)
			error = pause_until_next();
	}
	explicit_bzero(metadata, sizeof *metadata);
	free(metadata);
	return error;
}
