/* Compares the addresses of the host with those that are served. Runs in the broker's event loop,
 * when the kernel says that an address has come or gone. */
#include "server/follow.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/log.h"
#include "netlink/address.h"
#include "netlink/monitor.h"
#include "netlink/socket.h"
#include "server/config.h"

enum {
	GATHER_MS = 50, /* between two looks at the host's addresses */
	LEAST_HOLD_MS = 1000, /* an address is gone when it has been gone for so long, */
	MOST_HOLD_MS = 30 * 1000, /* and for this long if it comes and goes all the time */
	QUIET_MS = 60 * 1000, /* served for so long, it is one that stays */
	RETRY_MS = 5 * 1000, /* of one that could not be served */
	WAIT_MS = 1000, /* for what begin() waits for, which says so itself */
	OTHERS_MS = 3 * 1000, /* likewise, of one that another host serves */
};

struct followed {
	struct ipv4 bind;
	bool is_there, is_served;
	bool is_begun; /* begin() was called since it came */
	bool has_no_place; /* there is no block left for it */
	uint64_t due_ms; /* it is not to be tried before */
	uint64_t gone_ms; /* when it is gone; 0: it is there */
	uint64_t since_ms; /* it is served */
	uint64_t hold_ms;
};

struct follow {
	struct follow_config config;
	struct netlink *netlink;
	int monitor;
	struct event *readable, *timer;
	struct followed *list;
	size_t n;
	struct ipv4 *present;
	size_t n_present;
	struct ipv4 *named; /* by the cloud: the host has them, or is given them */
	size_t n_named;
	uint64_t looked_ms; /* when the addresses were read last */
};

static struct followed *find(struct follow *follow, struct ipv4 bind)
{
	for (size_t i = 0; i < follow->n; i++)
		if (ipv4_equal(follow->list[i].bind, bind))
			return &follow->list[i];
	return NULL;
}

static int record(struct follow *follow, struct ipv4 bind)
{
	struct followed *followed = find(follow, bind);

	if (!followed) {
		struct followed *grown = reallocarray(follow->list, follow->n + 1, sizeof *grown);

		if (!grown)
			return -ENOMEM;
		follow->list = grown;
		followed = &grown[follow->n++];
		*followed = (struct followed){.bind = bind, .hold_ms = LEAST_HOLD_MS};
	}
	followed->is_there = true;
	return 0;
}

/* Reads which are there. On failure what was known stays. */
static int look(struct follow *follow)
{
	auto_free struct address *addresses = NULL;
	size_t n;
	int error = address_dump(follow->netlink, 0, &addresses, &n);

	if (error < 0)
		return error;
	for (size_t i = 0; i < follow->n; i++)
		follow->list[i].is_there = false;
	for (size_t i = 0; i < n && error == 0; i++)
		if (server_config_follows(follow->config.config, addresses[i].local))
			error = record(follow, addresses[i].local);
	for (size_t i = 0; i < follow->n_named && error == 0; i++)
		if (!server_config_has_bind(follow->config.config, follow->named[i]))
			error = record(follow, follow->named[i]);
	return error;
}

static int name(struct follow *follow, const struct ipv4 *addresses, size_t n)
{
	struct ipv4 *named = calloc(n + 1, sizeof *named);

	if (!named)
		return -ENOMEM;
	if (n > 0)
		memcpy(named, addresses, n * sizeof *named);
	free(follow->named);
	follow->named = named;
	follow->n_named = n;
	return 0;
}

/* Until it is tried again. What is waited for is told in the log by who knows it. */
static uint64_t delay_after(const struct followed *followed, int error)
{
	switch (error) {
	case -EINPROGRESS:
		return WAIT_MS;
	case -EBUSY:
		return OTHERS_MS;
	case -ENOSPC:
		return 0;
	default:
		log_error("endpoint %s: cannot be served, will try again: %s",
			ipv4_text(followed->bind).s, strerror(-error));
		return RETRY_MS;
	}
}

static void begin(struct follow *follow, struct followed *followed, uint64_t now_ms)
{
	int error = follow->config.begin(follow->config.context, followed->bind);

	followed->is_begun = true;
	followed->has_no_place = error == -ENOSPC;
	followed->is_served = error == 0;
	followed->since_ms = now_ms;
	followed->due_ms = error == 0 ? 0 : now_ms + delay_after(followed, error);
}

static void end(struct follow *follow, struct followed *followed, uint64_t now_ms)
{
	bool was_short = now_ms - followed->since_ms < QUIET_MS;

	follow->config.end(follow->config.context, followed->bind);
	followed->is_begun = followed->is_served = false;
	followed->due_ms = followed->gone_ms = 0;
	followed->hold_ms = was_short ? 2 * followed->hold_ms : LEAST_HOLD_MS;
	if (followed->hold_ms > MOST_HOLD_MS)
		followed->hold_ms = MOST_HOLD_MS;
}

/* These return when there is something to do about it next; 0: not by itself. */

static uint64_t follow_present_one(
	struct follow *follow, struct followed *followed, uint64_t now_ms)
{
	followed->gone_ms = 0;
	if (followed->is_served || followed->has_no_place)
		return 0;
	if (now_ms >= followed->due_ms)
		begin(follow, followed, now_ms);
	return followed->is_served || followed->has_no_place ? 0 : followed->due_ms;
}

static uint64_t follow_absent_one(struct follow *follow, struct followed *followed, uint64_t now_ms)
{
	if (!followed->is_begun)
		return 0;
	if (followed->gone_ms == 0)
		followed->gone_ms = now_ms + followed->hold_ms;
	if (now_ms >= followed->gone_ms)
		end(follow, followed, now_ms);
	return followed->gone_ms;
}

static uint64_t follow_one(struct follow *follow, struct followed *followed, uint64_t now_ms)
{
	return followed->is_there ? follow_present_one(follow, followed, now_ms)
				  : follow_absent_one(follow, followed, now_ms);
}

static void wait_until(struct follow *follow, uint64_t due_ms)
{
	uint64_t now_ms = clock_now_ms(&system_clock);
	struct timeval delay = timeval_from_ms(due_ms > now_ms ? due_ms - now_ms : 0);

	event_add(follow->timer, &delay);
}

static void update(struct follow *follow)
{
	uint64_t next_ms = 0;
	int error = look(follow);

	follow->looked_ms = clock_now_ms(&system_clock);
	if (error < 0) {
		log_error("cannot see which addresses this host has: %s", strerror(-error));
		wait_until(follow, follow->looked_ms + RETRY_MS);
		return;
	}
	for (size_t i = 0; i < follow->n; i++) {
		uint64_t due_ms = follow_one(follow, &follow->list[i], clock_now_ms(&system_clock));

		if (due_ms != 0 && (next_ms == 0 || due_ms < next_ms))
			next_ms = due_ms;
	}
	if (next_ms != 0)
		wait_until(follow, next_ms);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	update(context);
}

static void pass_over(void *context, const struct nlmsghdr *message)
{
	(void)context;
	(void)message;
}

/* What has changed is read from the kernel, not from the notices, of which some may be lost. */
static void on_notice(evutil_socket_t fd, short what, void *context)
{
	struct follow *follow = context;

	(void)what;
	netlink_monitor_read(fd, pass_over, NULL);
	if (clock_now_ms(&system_clock) < follow->looked_ms + GATHER_MS)
		wait_until(follow, follow->looked_ms + GATHER_MS);
	else
		update(follow);
}

static int keep_present(struct follow *follow)
{
	follow->present = calloc(follow->n + 1, sizeof *follow->present);
	if (!follow->present)
		return -ENOMEM;
	for (size_t i = 0; i < follow->n; i++)
		follow->present[follow->n_present++] = follow->list[i].bind;
	return 0;
}

/* The notices first: what changes after the look is heard of. */
static int open_netlink(struct follow *follow)
{
	int error = netlink_open(NETLINK_ROUTE, &follow->netlink);

	if (error < 0)
		return error;
	follow->monitor = netlink_monitor_open(NETLINK_ROUTE, RTMGRP_IPV4_IFADDR);
	return follow->monitor < 0 ? follow->monitor : look(follow);
}

int follow_new(struct event_base *base, const struct follow_config *config, struct follow **result)
{
	struct follow *follow = calloc(1, sizeof *follow);
	int error = follow ? 0 : -ENOMEM;

	*result = follow;
	if (error == 0) {
		follow->config = *config;
		follow->monitor = -1;
		error = name(follow, config->named, config->n_named);
	}
	if (error == 0)
		error = open_netlink(follow);
	if (error == 0)
		error = keep_present(follow);
	if (error == 0) {
		follow->readable =
			event_new(base, follow->monitor, EV_READ | EV_PERSIST, on_notice, follow);
		follow->timer = evtimer_new(base, on_timer, follow);
		error = follow->readable && follow->timer ? 0 : -ENOMEM;
	}
	if (error < 0)
		log_error("cannot follow addresses: %s", strerror(-error));
	return error;
}

void follow_free(struct follow *follow)
{
	if (!follow)
		return;
	free_event(follow->readable);
	free_event(follow->timer);
	cleanup_close(&follow->monitor);
	netlink_close(follow->netlink);
	free(follow->list);
	free(follow->present);
	free(follow->named);
	free(follow);
}

const struct ipv4 *follow_present(const struct follow *follow, size_t *n)
{
	*n = follow ? follow->n_present : 0;
	return follow ? follow->present : NULL;
}

/* Those that were there at the start are begun like any other, which does nothing where they are
 * served already. */
int follow_start(struct follow *follow)
{
	if (event_add(follow->readable, NULL) < 0)
		return -ENOMEM;
	update(follow);
	return 0;
}

void follow_go_on(struct follow *follow, struct ipv4 bind)
{
	struct followed *followed = follow ? find(follow, bind) : NULL;

	if (!followed || followed->is_served)
		return;
	followed->due_ms = 0;
	update(follow);
}

bool follow_has(struct follow *follow, struct ipv4 bind)
{
	const struct followed *followed;

	/* Where it cannot be read, what was known stays. */
	if (!follow || look(follow) == -ENOMEM)
		return false;
	followed = find(follow, bind);
	return followed && followed->is_there;
}

void follow_yield(struct follow *follow, struct ipv4 bind)
{
	struct followed *followed = follow ? find(follow, bind) : NULL;

	if (!followed || !followed->is_served)
		return;
	followed->is_served = false;
	followed->due_ms = clock_now_ms(&system_clock) + OTHERS_MS;
	update(follow);
}

void follow_name(struct follow *follow, const struct ipv4 *addresses, size_t n)
{
	if (!follow)
		return;
	if (name(follow, addresses, n) < 0)
		log_error("cannot follow addresses: %s", strerror(ENOMEM));
	else
		update(follow);
}

void follow_look_again(struct follow *follow)
{
	update(follow);
}
