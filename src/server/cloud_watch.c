/* Keeps the process that asks the cloud, and checks what it says. Runs in the broker. */
#include "server/cloud_watch.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <linux/netlink.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/log_limit.h"
#include "host/instance_address.h"
#include "ipc/cloud.h"
#include "netlink/socket.h"
#include "server/child.h"
#include "server/config.h"
#include "server/gate_setup.h"

_Static_assert((int)CLOUD_FD_BROKER == (int)CHILD_FD_BROKER, "where it looks for its socket");

enum {
	FIRST_ANSWER_MS = 3000,
	/* One that was taken over can tell without end: between two lists it is not heard. */
	REST_MS = 1000,
	FILE_MAX = CLOUD_MAX_ADDRESSES * sizeof "255.255.255.255\n",
};

static const char watch_user[] = "vprox-cloud";

struct addresses {
	struct ipv4 list[CLOUD_MAX_ADDRESSES];
	size_t n;
};

struct cloud_watch {
	struct cloud_watch_config config;
	struct child_group *group;
	struct netlink *netlink;
	bool is_known; /* what there is, from the file or an answer */
	struct addresses known, refused; /* refused: and that was said */
	struct addresses missed; /* of those known: the last list was without them */
	struct log_limit refusals;
};

static bool contains(const struct addresses *addresses, struct ipv4 address)
{
	return ipv4_is_among(address, addresses->list, addresses->n);
}

/* What a server of ours cannot have, whoever says so. */
static bool is_unusable(const struct server_config *config, struct ipv4 address)
{
	static const struct prefix never[] = {
		{{0x00000000}, 8}, {{0x7f000000}, 8}, {{0xa9fe0000}, 16}, {{0xe0000000}, 3}};

	for (size_t i = 0; i < sizeof never / sizeof *never; i++)
		if (prefix_contains(never[i], address))
			return true;
	return prefix_contains(config->whole_block, address);
}

static void log_refusal(struct cloud_watch *watch, struct ipv4 address, const char *fault)
{
	struct log_limit_text more;

	if (log_limit_allows(&watch->refusals, clock_now_ms(&system_clock), &more))
		log_warning("the cloud's address %s is not served: %s%s", ipv4_text(address).s,
			fault, more.s);
}

static const char *find_fault(const struct cloud_watch *watch, const struct instance *instance,
	const struct cloud_address *told)
{
	const struct server_config *config = watch->config.config;

	if (is_unusable(config, told->address))
		return "clients cannot reach such an address";
	return instance_address_fault(instance, told->address, told->mac, config->cloud_interface);
}

/* What is refused is said once, for as long as it is told. */
static void judge(struct cloud_watch *watch, const struct instance *instance,
	const struct cloud_address *told, struct addresses *served, struct addresses *refused)
{
	const char *fault = find_fault(watch, instance, told);

	if (!fault && !contains(served, told->address))
		served->list[served->n++] = told->address;
	if (!fault || contains(refused, told->address))
		return;
	if (!contains(&watch->refused, told->address))
		log_refusal(watch, told->address, fault);
	refused->list[refused->n++] = told->address;
}

/* One that a list is without is kept until the next one is without it too: a service that leaves
 * something out once takes nothing from clients. */
static void keep_missed(struct cloud_watch *watch, struct addresses *served)
{
	struct addresses missed = {.n = 0};

	for (size_t i = 0; i < watch->known.n; i++) {
		struct ipv4 address = watch->known.list[i];

		if (contains(served, address))
			continue;
		missed.list[missed.n++] = address;
		if (!contains(&watch->missed, address) && served->n < CLOUD_MAX_ADDRESSES)
			served->list[served->n++] = address;
	}
	watch->missed = missed;
}

static bool is_same(const struct addresses *a, const struct addresses *b)
{
	for (size_t i = 0; i < a->n; i++)
		if (!contains(b, a->list[i]))
			return false;
	return a->n == b->n;
}

/* The file */

static int write_file(const struct addresses *known)
{
	static const struct file_beside beside = {.path = CLOUD_WATCH_FILE ".new"};
	char text[CLOUD_MAX_ADDRESSES * sizeof "255.255.255.255\n"];
	size_t n = 0;

	for (size_t i = 0; i < known->n; i++)
		n += (size_t)sprintf(text + n, "%s\n", ipv4_text(known->list[i]).s);
	return file_replace(CLOUD_WATCH_FILE, &beside, 0600, text, n);
}

/* What makes no sense in it is left out: the cloud will tell. */
static void read_file(struct cloud_watch *watch)
{
	auto_free char *text = NULL;
	char *rest = NULL;
	size_t length;

	if (file_read(CLOUD_WATCH_FILE, FILE_MAX, &text, &length) < 0)
		return;
	watch->is_known = true;
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		struct ipv4 address;

		if (watch->known.n < CLOUD_MAX_ADDRESSES && ipv4_parse(line, &address) == 0 &&
			!is_unusable(watch->config.config, address))
			watch->known.list[watch->known.n++] = address;
	}
}

/* The process */

static void use(struct cloud_watch *watch, const struct addresses *served)
{
	int error;

	if (watch->is_known && is_same(served, &watch->known))
		return;
	watch->is_known = true;
	watch->known = *served;
	error = write_file(served);
	if (error < 0)
		log_error("cannot write %s: %s", CLOUD_WATCH_FILE, strerror(-error));
	watch->config.changed(watch->config.context, watch->known.list, watch->known.n);
}

static void take(struct cloud_watch *watch, const struct cloud_list *list)
{
	struct addresses served = {.n = 0}, refused = {.n = 0};
	struct instance instance;
	int error = instance_look(watch->netlink, &instance);

	for (size_t i = 0; i < list->n && error == 0; i++)
		judge(watch, &instance, &list->addresses[i], &served, &refused);
	instance_free(&instance);
	if (error < 0) {
		log_error("cannot see which addresses this host has: %s", strerror(-error));
		return;
	}
	watch->refused = refused;
	keep_missed(watch, &served);
	use(watch, &served);
}

static void on_readable(void *context, struct child *child)
{
	struct cloud_watch *watch = context;
	auto_free struct cloud_list *list = malloc(sizeof *list);
	int error = list ? cloud_receive_told(child->fd, list) : -ENOMEM;

	if (error == 1 && !child->is_ready) {
		child->is_ready = true;
	} else if (error == 1) {
		child_expel(child, "it says twice that it serves", -EPROTO);
	} else if (error == 0) {
		child_pause(child, REST_MS);
		take(watch, list);
	} else {
		child_read_failed(child, "cannot read what it says", error);
	}
}

static int start_child(void *context, struct child *child)
{
	struct cloud_watch *watch = context;
	const struct server_config *config = watch->config.config;
	struct cloud_config settings = {
		.version = CLOUD_VERSION,
		.task = CLOUD_WATCHES,
		.log_level = config->log_level,
		.log_format = config->log_format,
	};
	int error;

	gate_setup_choose_user(watch_user, watch->config.gates, &settings.user, &settings.group);
	error = child_spawn(child, NULL, 0);
	if (error < 0)
		return error;
	error = cloud_send_config(child->fd, &settings);
	if (error < 0)
		child_expel(child, "cannot send it its configuration", error);
	return 0;
}

/* Tunnels that an earlier server has left would be taken for nobody's. */
static void await_first_answer(struct cloud_watch *watch)
{
	const uint64_t deadline_ms = clock_now_ms(&system_clock) + FIRST_ANSWER_MS;
	struct child *child = child_group_get(watch->group, 0);
	uint64_t now_ms;

	while (!watch->is_known && child->fd >= 0 &&
		(now_ms = clock_now_ms(&system_clock)) < deadline_ms) {
		struct pollfd readable = {.fd = child->fd, .events = POLLIN};

		if (poll(&readable, 1, (int)(deadline_ms - now_ms)) > 0)
			on_readable(watch, child);
	}
	if (!watch->is_known)
		log_warning("the cloud has not told this instance's addresses yet");
}

int cloud_watch_new(struct event_base *base, const struct cloud_watch_config *config,
	struct cloud_watch **result)
{
	struct cloud_watch *watch = calloc(1, sizeof *watch);
	struct child_group_config children = {
		.command = "cloud",
		.n = 1,
		.start = start_child,
		.readable = on_readable,
		.context = watch,
	};
	int error = watch ? 0 : -ENOMEM;

	*result = watch;
	if (error == 0) {
		watch->config = *config;
		read_file(watch);
		error = netlink_open(NETLINK_ROUTE, &watch->netlink);
	}
	if (error == 0)
		error = child_group_new(base, &children, &watch->group);
	if (error < 0)
		log_error(
			"cannot ask the cloud for this instance's addresses: %s", strerror(-error));
	else
		await_first_answer(watch);
	return error;
}

const struct ipv4 *cloud_watch_addresses(const struct cloud_watch *watch, size_t *n)
{
	*n = watch ? watch->known.n : 0;
	return watch ? watch->known.list : NULL;
}

const struct child *cloud_watch_process(const struct cloud_watch *watch)
{
	return watch && watch->group ? child_group_get(watch->group, 0) : NULL;
}

void cloud_watch_free(struct cloud_watch *watch, bool forgets)
{
	if (!watch)
		return;
	child_group_free(watch->group);
	netlink_close(watch->netlink);
	if (forgets && unlink(CLOUD_WATCH_FILE) < 0 && errno != ENOENT)
		log_warning("cannot remove %s: %m", CLOUD_WATCH_FILE);
	free(watch);
}
