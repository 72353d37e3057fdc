/* Reports the served addresses to a backend, each by itself, over exchanges that run side by side.
 * Runs in a `vprox cloud` process, once it is confined. */
#include "cloud/liveness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <jansson.h>
#include <openssl/ssl.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/version.h"
#include "http/exchange.h"
#include "http/tls_client.h"
#include "ipc/cloud.h"
#include "ipc/names.h"
#include "ipc/packet.h"

enum {
	LEAST_INTERVAL_MS = 1500,
	MOST_INTERVAL_MS = 2000,
	TIMEOUT_MS = 5000,
	LOOK_UP_MS = 30 * 1000, /* between two look-ups of the backend's name */
	LOOK_UP_SOON_MS = 2000, /* while it has no address */
	NAMES_POLL_MS = 200, /* while an answer is waited for */
	HEAD_MAX = URL_HOST_SIZE + URL_PATH_SIZE + CLOUD_SECRET_SIZE + 256,
	BODY_MAX = 6 * CLOUD_REGION_SIZE + 64, /* escaped */
	MAX_TARGETS = 8,
};

static const char path[] = "/api/admin/staticip/liveness";

/* Of one address. */
struct liveness_report {
	struct ipv4 address;
	uint64_t next_ms;
	struct web_exchange exchange;
	char fault[EXCHANGE_FAULT_SIZE]; /* that was logged; "": it is taken */
};

struct liveness {
	const struct cloud_config *config;
	struct cloud_secret secret;
	SSL_CTX *tls; /* NULL: in clear */
	struct liveness_report reports[CLOUD_MAX_ADDRESSES];
	size_t n;

	/* Where the backend is. */
	struct exchange_target targets[MAX_TARGETS];
	size_t n_targets, target; /* of these, the one to ask */
	struct names *names; /* NULL: it was given by its address */
	bool is_asked; /* for the backend's name */
	uint64_t look_up_ms; /* when it is to be asked again */
	char reason[64]; /* why there is no target */
};

/* Where the backend is */

static bool read_address(const char *text, uint32_t port, struct exchange_target *target)
{
	struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};

	if (inet_pton(AF_INET, text, &ipv4.sin_addr) == 1) {
		memcpy(&target->address, &ipv4, sizeof ipv4);
		target->address_length = sizeof ipv4;
		return true;
	}
	if (inet_pton(AF_INET6, text, &ipv6.sin6_addr) != 1)
		return false;
	memcpy(&target->address, &ipv6, sizeof ipv6);
	target->address_length = sizeof ipv6;
	return true;
}

static bool add_target(struct liveness *liveness, const char *address)
{
	const struct url *backend = &liveness->config->backend;
	struct exchange_target *target = &liveness->targets[liveness->n_targets];

	*target = (struct exchange_target){.tls = liveness->tls, .server = backend->host};
	if (!read_address(address, backend->port, target))
		return false;
	liveness->n_targets++;
	return true;
}

/* Of one family. */
static void add_targets(struct liveness *liveness, const char *addresses, bool is_ipv6)
{
	char copy[NAMES_ADDRESSES_SIZE], *rest = NULL;

	snprintf(copy, sizeof copy, "%s", addresses);
	for (char *one = strtok_r(copy, "[],", &rest); one && liveness->n_targets < MAX_TARGETS;
		one = strtok_r(NULL, "[],", &rest))
		if ((strchr(one, ':') != NULL) == is_ipv6)
			add_target(liveness, one);
}

/* IPv4 first, which the shipped unit has alone. Those of before are good as long as there are no
 * others. */
static void take_addresses(struct liveness *liveness, const struct names_answer *answer)
{
	snprintf(liveness->reason, sizeof liveness->reason, "%s", answer->reason);
	if (answer->addresses[0] == '\0')
		return;
	liveness->n_targets = liveness->target = 0;
	add_targets(liveness, answer->addresses, false);
	add_targets(liveness, answer->addresses, true);
}

static int hear_names(struct liveness *liveness, uint64_t now_ms)
{
	struct names_answer answer;
	int error = names_receive(liveness->names, 0, &answer);

	if (error < 0)
		return error == -EAGAIN ? 0 : error;
	take_addresses(liveness, &answer);
	liveness->is_asked = false;
	liveness->look_up_ms = now_ms + (liveness->n_targets > 0 ? LOOK_UP_MS : LOOK_UP_SOON_MS);
	return 0;
}

/* Returns -errno if who looks names up has ended: the broker starts us again. */
static int look_up(struct liveness *liveness, uint64_t now_ms)
{
	int error = 0;

	if (!liveness->names)
		return 0;
	if (liveness->is_asked)
		error = hear_names(liveness, now_ms);
	if (error == 0 && !liveness->is_asked && now_ms >= liveness->look_up_ms) {
		error = names_ask(liveness->names, liveness->config->backend.host);
		liveness->is_asked = error == 0;
	}
	return error == -EAGAIN ? 0 : error;
}

/* Reports */

static uint64_t random_interval_ms(void)
{
	uint32_t number = 0;

	if (getrandom(&number, sizeof number, GRND_NONBLOCK) < 0)
		number = 0;
	return LEAST_INTERVAL_MS + number % (MOST_INTERVAL_MS - LEAST_INTERVAL_MS + 1);
}

static int write_body(const struct liveness *liveness, struct ipv4 address, char body[BODY_MAX])
{
	json_t *json = json_pack(
		"{s:s, s:s}", "ip", ipv4_text(address).s, "region", liveness->config->region);
	size_t n = json ? json_dumpb(json, body, BODY_MAX - 1, JSON_COMPACT) : 0;

	json_decref(json);
	if (n == 0 || n >= BODY_MAX)
		return -EINVAL;
	body[n] = '\0';
	return 0;
}

static int write_request(const struct liveness *liveness, struct ipv4 address, char *text)
{
	const struct url *backend = &liveness->config->backend;
	const bool is_ipv6 = strchr(backend->host, ':') != NULL;
	char body[BODY_MAX];
	int error = write_body(liveness, address, body);

	if (error < 0)
		return error;
	return snprintf(text, HEAD_MAX + BODY_MAX,
		"POST %s%s HTTP/1.1\r\n"
		"Host: %s%s%s:%u\r\n"
		"User-Agent: vprox/%s\r\n"
		"Authorization: Bearer %s\r\n"
		"Content-Type: application/json\r\n"
		"Content-Length: %zu\r\n"
		"Connection: close\r\n"
		"\r\n%s",
		backend->path, path, is_ipv6 ? "[" : "", backend->host, is_ipv6 ? "]" : "",
		backend->port, version_number, liveness->secret.token, strlen(body), body);
}

static void log_change(
	const struct liveness *liveness, struct liveness_report *report, const char *fault)
{
	const char *host = liveness->config->backend.host;

	if (strcmp(report->fault, fault) == 0)
		return;
	if (*fault)
		log_error("endpoint %s: cannot report to %s that it is served, will go on trying: "
			  "%s",
			ipv4_text(report->address).s, host, fault);
	else
		log_info("endpoint %s: that it is served is reported to %s again",
			ipv4_text(report->address).s, host);
	snprintf(report->fault, sizeof report->fault, "%s", fault);
}

static void begin(struct liveness *liveness, struct liveness_report *report, uint64_t now_ms)
{
	char text[HEAD_MAX + BODY_MAX];
	int n;

	report->next_ms = now_ms + random_interval_ms();
	if (liveness->n_targets == 0) {
		if (liveness->reason[0] != '\0')
			log_change(liveness, report, liveness->reason);
		return;
	}
	n = write_request(liveness, report->address, text);
	if (n > 0 && n < (int)sizeof text)
		exchange_begin(&report->exchange, &liveness->targets[liveness->target], text,
			(size_t)n, now_ms + TIMEOUT_MS);
	explicit_bzero(text, sizeof text);
}

/* Another address of the backend's may be better. */
static void end(struct liveness *liveness, struct liveness_report *report)
{
	const struct web_exchange *exchange = &report->exchange;
	const unsigned int status = exchange->answer.status;
	char fault[EXCHANGE_FAULT_SIZE] = "";

	if (exchange->state == EXCHANGE_FAILED) {
		snprintf(fault, sizeof fault, "%s", exchange->fault);
		if (liveness->n_targets > 0)
			liveness->target = (liveness->target + 1) % liveness->n_targets;
	} else if (status != 200 && status != 201) {
		snprintf(fault, sizeof fault, "the answer is HTTP status %u", status);
	}
	log_change(liveness, report, fault);
	exchange_end(&report->exchange);
}

static bool is_over(const struct liveness_report *report)
{
	return report->exchange.state == EXCHANGE_DONE || report->exchange.state == EXCHANGE_FAILED;
}

static void go_on(struct liveness *liveness, struct liveness_report *report, uint64_t now_ms)
{
	if (report->exchange.state == EXCHANGE_IDLE && now_ms >= report->next_ms)
		begin(liveness, report, now_ms);
	if (is_over(report))
		end(liveness, report);
}

/* The broker */

static bool is_listed(const struct cloud_list *list, struct ipv4 address)
{
	for (size_t i = 0; i < list->n; i++)
		if (ipv4_equal(list->addresses[i].address, address))
			return true;
	return false;
}

static bool is_reported(const struct liveness *liveness, struct ipv4 address)
{
	for (size_t i = 0; i < liveness->n; i++)
		if (ipv4_equal(liveness->reports[i].address, address))
			return true;
	return false;
}

static void use_list(struct liveness *liveness, const struct cloud_list *list)
{
	size_t n = 0;

	for (size_t i = 0; i < liveness->n; i++) {
		struct liveness_report *report = &liveness->reports[i];

		if (is_listed(list, report->address))
			liveness->reports[n++] = *report;
		else
			exchange_end(&report->exchange);
	}
	liveness->n = n;
	for (size_t i = 0; i < list->n && liveness->n < CLOUD_MAX_ADDRESSES; i++)
		if (!is_reported(liveness, list->addresses[i].address))
			liveness->reports[liveness->n++] = (struct liveness_report){
				.address = list->addresses[i].address, .exchange.fd = -1};
}

static int hear_broker(struct liveness *liveness)
{
	auto_free struct cloud_list *list = malloc(sizeof *list);
	int error = list ? cloud_receive_list(CLOUD_FD_BROKER, list) : -ENOMEM;

	if (error == 0)
		use_list(liveness, list);
	return error == -EAGAIN || error == -EINTR ? 0 : error;
}

/* Until there is something to do by itself. */
static int time_left_ms(const struct liveness *liveness, uint64_t now_ms)
{
	uint64_t due_ms = now_ms + (liveness->names ? NAMES_POLL_MS : LOOK_UP_MS);

	for (size_t i = 0; i < liveness->n; i++) {
		const struct liveness_report *report = &liveness->reports[i];
		uint64_t own_ms = report->exchange.state == EXCHANGE_IDLE
					  ? report->next_ms
					  : report->exchange.deadline_ms;

		if (own_ms < due_ms)
			due_ms = own_ms;
	}
	return due_ms > now_ms ? (int)(due_ms - now_ms) : 0;
}

static void advance_all(struct liveness *liveness, const struct pollfd *sockets, uint64_t now_ms)
{
	for (size_t i = 0; i < liveness->n; i++) {
		struct liveness_report *report = &liveness->reports[i];

		if (report->exchange.state != EXCHANGE_IDLE &&
			(sockets[i].revents != 0 || now_ms >= report->exchange.deadline_ms))
			exchange_advance(&report->exchange);
		go_on(liveness, report, now_ms);
	}
}

/* Waits, and does what is to be done. Returns 0 or -errno. */
static int turn(struct liveness *liveness)
{
	static const size_t broker = CLOUD_MAX_ADDRESSES;
	struct pollfd sockets[CLOUD_MAX_ADDRESSES + 1];
	uint64_t now_ms = clock_now_ms(&system_clock);
	int error;

	for (size_t i = 0; i < broker; i++)
		sockets[i] = (struct pollfd){.fd = -1};
	for (size_t i = 0; i < liveness->n; i++)
		sockets[i] = (struct pollfd){.fd = liveness->reports[i].exchange.fd,
			.events = liveness->reports[i].exchange.events};
	sockets[broker] = (struct pollfd){.fd = CLOUD_FD_BROKER, .events = POLLIN};
	if (poll(sockets, broker + 1, time_left_ms(liveness, now_ms)) < 0 && errno != EINTR)
		return -errno;
	now_ms = clock_now_ms(&system_clock);
	error = look_up(liveness, now_ms);
	advance_all(liveness, sockets, now_ms);
	log_say_lost();
	return error == 0 && sockets[broker].revents != 0 ? hear_broker(liveness) : error;
}

/* The secret comes first, and has perhaps not come yet. */
static int await_secret(struct liveness *liveness)
{
	struct pollfd broker = {.fd = CLOUD_FD_BROKER, .events = POLLIN};
	int error;

	do {
		if (poll(&broker, 1, -1) < 0 && errno != EINTR)
			return -errno;
		error = cloud_receive_secret(CLOUD_FD_BROKER, &liveness->secret);
	} while (error == -EAGAIN || error == -EINTR);
	return error;
}

static int make_tls(struct liveness *liveness)
{
	const struct cloud_config *config = liveness->config;
	const char *fault;
	int fd = open(config->authorities, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		log_error("cannot open the authorities' certificates %s: %s", config->authorities,
			strerror(errno));
		return -errno;
	}
	liveness->tls = tls_client_new(fd, config->backend.host, &fault);
	if (liveness->tls)
		return 0;
	log_error("%s: there is no authority's certificate that can be used", config->authorities);
	return -EINVAL;
}

int liveness_new(const struct cloud_config *config, struct names *names, struct liveness **result)
{
	struct liveness *liveness = calloc(1, sizeof *liveness);

	*result = liveness;
	if (!liveness)
		return -ENOMEM;
	json_object_seed(0);
	tzset();
	liveness->config = config;
	if (config->backend.is_tls && make_tls(liveness) < 0)
		return -EINVAL;
	if (!add_target(liveness, config->backend.host))
		liveness->names = names;
	return 0;
}

int liveness_serve(struct liveness *liveness)
{
	int error = await_secret(liveness);

	while (error == 0)
		error = turn(liveness);
	return error;
}

void liveness_free(struct liveness *liveness)
{
	if (!liveness)
		return;
	for (size_t i = 0; i < liveness->n; i++)
		exchange_end(&liveness->reports[i].exchange);
	SSL_CTX_free(liveness->tls);
	explicit_bzero(liveness, sizeof *liveness);
	free(liveness);
}
