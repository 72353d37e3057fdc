/*
 * Starts the processes that fetch keys, and writes what they tell where the gates read it. Runs in
 * the broker.
 */
#include "server/issuer_supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/authorities.h"
#include "server/child.h"

_Static_assert((int)ISSUER_FETCH_FD_BROKER == (int)CHILD_FD_BROKER,
	"where the process looks for its socket");
_Static_assert(
	(int)ISSUER_FETCH_FD_AUTHORITIES == CHILD_FD_BROKER + 1, "in the order of child_spawn()");

enum {
	/* An issuer that is away for a moment does not keep the server from starting. */
	START_MS = 10 * 1000,
};

/* What is known of one issuer. */
struct issuer_state {
	bool has_keys; /* it has told some, at least once */
	bool is_asked; /* to fetch them, and has not told what came of it */
	unsigned int n;
	char fault[ISSUER_FAULT_SIZE]; /* why the last try has failed; "": it has not */
};

struct issuer_supervisor {
	struct issuer_supervisor_config config;
	struct issuer_sheet *sheet;
	struct child_group *children;
	struct issuer_fetched fetched;
	struct issuer_state states[ISSUERS_MAX];
};

static int open_authorities(const struct issuer_supervisor *supervisor)
{
	const char *given = supervisor->config.authorities;
	char path[PATH_MAX];
	int fd;

	if (!given)
		authorities_find(path);
	fd = open(given ? given : path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	fd = -errno;
	log_error("cannot read the certificates of authorities, %s: %s", given ? given : path,
		strerror(-fd));
	return fd;
}

static const char *url_of(const struct issuer_supervisor *supervisor, unsigned int number)
{
	return issuer_sheet_get(supervisor->sheet, number)->url;
}

static int start_child(void *context, struct child *child)
{
	struct issuer_supervisor *supervisor = context;
	struct issuer_fetch_config settings = supervisor->config.settings;
	auto_close int authorities = open_authorities(supervisor);
	int error = authorities < 0 ? authorities : child_spawn(child, &authorities, 1);

	if (error < 0)
		return error;
	supervisor->states[child->number].is_asked = true;
	settings.number = child->number;
	strcpy(settings.url, url_of(supervisor, child->number));
	error = issuer_fetch_send_config(child->fd, &settings);
	if (error < 0)
		child_expel(child, "cannot send it its configuration", error);
	return 0;
}

static void record_keys(struct issuer_supervisor *supervisor, unsigned int number)
{
	const struct issuer_fetched *fetched = &supervisor->fetched;
	struct issuer_state *state = &supervisor->states[number];

	issuer_sheet_write(
		supervisor->sheet, number, fetched->keys, fetched->n, clock_now_ms(&boot_clock));
	if (!state->has_keys || state->fault[0] != '\0' || state->n != fetched->n)
		log_info("issuer %s: has %u keys", url_of(supervisor, number), fetched->n);
	state->has_keys = true;
	state->n = fetched->n;
	state->fault[0] = '\0';
}

/* Said once, until it is another one or over. */
static void record_failure(struct issuer_supervisor *supervisor, unsigned int number)
{
	const char *fault = supervisor->fetched.fault;
	struct issuer_state *state = &supervisor->states[number];

	issuer_sheet_record_failure(supervisor->sheet, number, clock_now_ms(&boot_clock));
	if (strcmp(state->fault, fault) != 0)
		log_warning("issuer %s: cannot fetch its keys, will try again: %s%s",
			url_of(supervisor, number), fault,
			state->has_keys ? "; those of before are good for a day" : "");
	strcpy(state->fault, fault);
}

static int hear(struct issuer_supervisor *supervisor, struct child *child)
{
	int error = issuer_fetch_receive(child->fd, &supervisor->fetched);

	if (error < 0)
		return error;
	supervisor->states[child->number].is_asked = false;
	child->is_ready = true;
	if (supervisor->fetched.n > 0)
		record_keys(supervisor, child->number);
	else
		record_failure(supervisor, child->number);
	return 0;
}

static void on_readable(void *context, struct child *child)
{
	int error = hear(context, child);

	if (error < 0)
		child_read_failed(child, "cannot read what it says", error);
}

/* Hears whoever has something to say of those that have told no keys yet. Returns 1 if there are
 * none of them any more, 0, or -errno. */
static int wait_for_some(struct issuer_supervisor *supervisor, int timeout_ms)
{
	struct pollfd sockets[ISSUERS_MAX];
	bool is_missing = false;

	for (unsigned int i = 0; i < supervisor->config.n; i++) {
		bool is_awaited = !supervisor->states[i].has_keys;
		int fd = child_group_get(supervisor->children, i)->fd;

		sockets[i] = (struct pollfd){.fd = is_awaited ? fd : -1, .events = POLLIN};
		is_missing = is_missing || is_awaited;
	}
	if (!is_missing)
		return 1;
	if (poll(sockets, supervisor->config.n, timeout_ms) < 0)
		return errno == EINTR ? 0 : -errno;
	for (unsigned int i = 0; i < supervisor->config.n; i++) {
		int error = sockets[i].revents == 0
				    ? 0
				    : hear(supervisor, child_group_get(supervisor->children, i));

		if (error < 0 && error != -EAGAIN && error != -EINTR)
			return error;
	}
	return 0;
}

/* Before the event loop runs. Returns 0 or -errno. */
static int wait_for_keys(struct issuer_supervisor *supervisor)
{
	uint64_t end_ms = clock_now_ms(&system_clock) + START_MS, now_ms;
	int result = 0;

	while (result == 0 && (now_ms = clock_now_ms(&system_clock)) < end_ms)
		result = wait_for_some(supervisor, (int)(end_ms - now_ms));
	for (unsigned int i = 0; i < supervisor->config.n && result <= 0; i++)
		if (!supervisor->states[i].has_keys)
			log_error("cannot start without the keys of issuer %s: nobody with a token "
				  "of its could be told from others",
				url_of(supervisor, i));
	return result > 0 ? 0 : result < 0 ? result : -ETIMEDOUT;
}

int issuer_supervisor_new(struct event_base *base, const struct issuer_supervisor_config *config,
	struct issuer_supervisor **result)
{
	struct issuer_supervisor *supervisor = calloc(1, sizeof *supervisor);
	const struct child_group_config children = {
		.command = "oidc",
		.n = config->n,
		.start = start_child,
		.readable = on_readable,
		.context = supervisor,
	};
	int error = -ENOMEM;

	if (supervisor) {
		supervisor->config = *config;
		supervisor->config.issuers = NULL;
		supervisor->sheet = issuer_sheet_new(config->issuers, config->n);
		error = supervisor->sheet ? child_group_new(base, &children, &supervisor->children)
					  : -errno;
	}
	if (error < 0)
		log_error("cannot start what fetches the issuers' keys: %s", strerror(-error));
	else
		error = wait_for_keys(supervisor);
	if (error < 0)
		issuer_supervisor_free(supervisor);
	else
		*result = supervisor;
	return error;
}

const struct issuer_sheet *issuer_supervisor_sheet(const struct issuer_supervisor *supervisor)
{
	return supervisor->sheet;
}

const struct child *issuer_supervisor_process(
	const struct issuer_supervisor *supervisor, unsigned int number)
{
	return supervisor && number < supervisor->config.n
		       ? child_group_get(supervisor->children, number)
		       : NULL;
}

/* Many gates ask at the same time, and one that was taken over all the time. */
void issuer_supervisor_fetch(struct issuer_supervisor *supervisor, unsigned int issuer)
{
	uint64_t now_ms = clock_now_ms(&boot_clock), tried_ms;
	struct child *child;

	if (issuer >= supervisor->config.n || supervisor->states[issuer].is_asked)
		return;
	tried_ms = issuer_sheet_tried_ms(supervisor->sheet, issuer);
	child = child_group_get(supervisor->children, issuer);
	if (child->fd < 0 || now_ms - tried_ms < ISSUER_ASK_MS)
		return;
	supervisor->states[issuer].is_asked = issuer_fetch_send_order(child->fd) == 0;
}

void issuer_supervisor_free(struct issuer_supervisor *supervisor)
{
	if (!supervisor)
		return;
	child_group_free(supervisor->children);
	issuer_sheet_free(supervisor->sheet);
	free(supervisor);
}
