/* Starts the processes that ask the server, and has the first that has met it wait for the verdict
 * on who it is. Runs in the client's one thread, called by its events. */
#include "client/request_supervisor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/log.h"
#include "base/user.h"
#include "client/token_source.h"
#include "client/trust.h"

enum { NS_PER_S = 1000000000 };

int request_supervisor_find_user(struct request_supervisor *supervisor)
{
	struct user user;

	if (user_find(NULL, &user) < 0) {
		log_error("there is no user without rights to talk to the server as: vprox has "
			  "those of "
			  "root, or there is no free user ID");
		return -ENOENT;
	}
	supervisor->user = user.id;
	supervisor->group = user.group;
	return 0;
}

static void end_attempts(struct request_supervisor *supervisor)
{
	for (size_t i = 0; i < supervisor->n_begun; i++)
		if (&supervisor->attempts[i] != supervisor->winner)
			request_attempt_end(&supervisor->attempts[i]);
}

void request_supervisor_cancel(struct request_supervisor *supervisor)
{
	free_event(supervisor->next);
	free_event(supervisor->timeout);
	supervisor->next = supervisor->timeout = NULL;
	supervisor->winner = NULL;
	token_request_cancel(&supervisor->token);
	request_attempt_end(&supervisor->look_up);
	end_attempts(supervisor);
	supervisor->n_addresses = supervisor->n_begun = 0;
}

static void mention_others(struct request_supervisor *supervisor)
{
	char *text = supervisor->result.text;
	size_t used = strlen(text), size = sizeof supervisor->result.text;

	if (!supervisor->winner && supervisor->n_begun > 1)
		snprintf(text + used, size - used, "; none of %zu addresses has answered",
			supervisor->n_begun);
}

/* Who has a good key but answers nothing must not win the next race too. That one answers does not
 * make it good: its tunnel does, or does not. */
static void record_order(struct request_supervisor *supervisor)
{
	const struct request_attempt *winner = supervisor->winner;
	size_t n = winner ? (size_t)(winner - supervisor->attempts) : supervisor->n_begun;

	for (size_t i = 0; i < n; i++)
		address_order_fail(&supervisor->order, supervisor->attempts[i].address);
	if (winner && supervisor->result.outcome == REQUEST_FAILED)
		address_order_doubt(&supervisor->order, winner->address);
}

static void finish(struct request_supervisor *supervisor)
{
	struct request_result result;

	mention_others(supervisor);
	record_order(supervisor);
	result = supervisor->result;
	request_supervisor_cancel(supervisor);
	supervisor->on_result(supervisor->context, &result);
}

/* A server that was refused counts for more than one that was not reached. */
static void record_failure(
	struct request_supervisor *supervisor, enum request_outcome outcome, const char *text)
{
	if (supervisor->result.outcome == REQUEST_REFUSED)
		return;
	supervisor->result = (struct request_result){.outcome = outcome};
	snprintf(supervisor->result.text, sizeof supervisor->result.text, "%s", text);
}

static void fail(
	struct request_supervisor *supervisor, enum request_outcome outcome, const char *text)
{
	record_failure(supervisor, outcome, text);
	finish(supervisor);
}

static void begin_next(struct request_supervisor *supervisor);

static bool some_run(const struct request_supervisor *supervisor)
{
	for (size_t i = 0; i < supervisor->n_begun; i++)
		if (request_attempt_runs(&supervisor->attempts[i]))
			return true;
	return false;
}

/* Of one address: others may do. */
static void fail_attempt(struct request_supervisor *supervisor, struct request_attempt *attempt,
	enum request_outcome outcome, const char *text)
{
	request_attempt_end(attempt);
	record_failure(supervisor, outcome, text);
	if (supervisor->n_begun < supervisor->n_addresses)
		begin_next(supervisor);
	else if (!some_run(supervisor))
		finish(supervisor);
}

/* With the password, for the server that is the right one. */
static void let_go_on(struct request_supervisor *supervisor, struct request_attempt *attempt)
{
	const struct client_config *config = supervisor->config;
	struct request_verdict verdict = {.go_on = 1};
	int error;

	snprintf(verdict.password, sizeof verdict.password, "%s",
		config->password(config->password_context));
	error = request_attempt_send(attempt, &verdict, sizeof verdict);
	if (error < 0)
		log_debug("the process that asks has ended: %s", strerror(-error));
	explicit_bzero(&verdict, sizeof verdict);
}

static void on_server(struct request_supervisor *supervisor, struct request_attempt *attempt,
	const struct request_server *seen)
{
	char why[2 * REQUEST_TEXT_MAX];

	if (trust_decide(supervisor->config, seen, why, sizeof why) < 0) {
		log_error("%s", why);
		fail_attempt(supervisor, attempt, REQUEST_REFUSED, "refused the server");
		return;
	}
	supervisor->winner = attempt;
	supervisor->seen = seen->pin;
	event_del(supervisor->next);
	end_attempts(supervisor);
	let_go_on(supervisor, attempt);
}

/* What was answered by a server that was not found to be the right one is no answer: the process is
 * a false server's by then. */
static void on_end(struct request_supervisor *supervisor, struct request_attempt *attempt,
	const struct request_result *result)
{
	if (attempt != supervisor->winner) {
		fail_attempt(supervisor, attempt, REQUEST_FAILED, result->text);
		return;
	}
	supervisor->result = *result;
	finish(supervisor);
}

static void on_readable(struct request_attempt *attempt)
{
	union {
		struct request_server seen;
		struct request_result result;
		char more[sizeof(struct request_server) + sizeof(struct request_result)];
	} packet;
	struct request_supervisor *supervisor = attempt->context;
	bool is_winner = attempt == supervisor->winner;
	struct request_server seen;
	struct request_result result;
	ssize_t n = request_attempt_receive(attempt, &packet, sizeof packet);

	if (n == -EAGAIN)
		return;
	if (n > 0 && !is_winner && request_decode_server(&packet, (size_t)n, &seen) == 0)
		on_server(supervisor, attempt, &seen);
	else if (n > 0 && request_decode_result(&packet, (size_t)n, &result) == 0 &&
		 (is_winner || result.outcome == REQUEST_FAILED))
		on_end(supervisor, attempt, &result);
	else if (is_winner)
		fail(supervisor, REQUEST_FAILED, "the process that asks the server broke off");
	else
		fail_attempt(supervisor, attempt, REQUEST_FAILED,
			"the process that asks the server broke off");
}

static void describe_attempts(const struct request_supervisor *supervisor, char *text, size_t size)
{
	const struct request_attempt *shown =
		supervisor->winner ? supervisor->winner : &supervisor->attempts[0];
	const struct ipv4_text address = ipv4_text(shown->address);

	if (supervisor->winner)
		snprintf(text, size, "%s has been reached, but has not answered the request yet",
			address.s);
	else
		snprintf(text, size,
			"there is no TLS connection to %s, TCP port %d, yet: is the port open, at "
			"the server and on the way?",
			address.s, CONTROL_PORT);
}

void request_supervisor_describe(
	const struct request_supervisor *supervisor, char *text, size_t size)
{
	if (request_attempt_runs(&supervisor->token.attempt))
		snprintf(text, size, "no token: there is no answer yet");
	else if (request_attempt_runs(&supervisor->look_up))
		snprintf(text, size, "cannot find %s: no name server has answered yet",
			supervisor->config->server);
	else
		describe_attempts(supervisor, text, size);
}

static void on_timeout(evutil_socket_t fd, short what, void *context)
{
	struct request_supervisor *supervisor = context;
	const bool has_token = !request_attempt_runs(&supervisor->token.attempt);

	(void)fd;
	(void)what;
	fail(supervisor, REQUEST_FAILED,
		has_token ? "no answer in time" : "no token: there was no answer in time");
}

static struct request_order make_order(const struct request_supervisor *supervisor)
{
	const struct client_config *config = supervisor->config;
	struct request_order order = {
		.tunnel = config->tunnel,
		.public_key = supervisor->public_key,
		.client_id = supervisor->client_id,
		.mark = supervisor->mark,
		.user = supervisor->user,
		.group = supervisor->group,
		.log_level = config->log_level,
		.log_format = config->log_format,
	};

	snprintf(order.server, sizeof order.server, "%s", config->server);
	snprintf(order.path, sizeof order.path, "%s", supervisor->path);
	if (config->ca_file)
		snprintf(order.ca_file, sizeof order.ca_file, "%s", config->ca_file);
	return order;
}

static int start_attempt(struct request_supervisor *supervisor, struct request_attempt *attempt,
	request_attempt_fn *readable)
{
	struct request_order order = make_order(supervisor);
	int error;

	order.address = attempt->address;
	attempt->context = supervisor;
	error = request_attempt_start(attempt, supervisor->base, &order, readable);
	if (error < 0)
		log_error("cannot start the process that asks the server: %s", strerror(-error));
	return error;
}

/* What cannot be started now is not tried any further: the time ends at once. */
static void end_soon(struct request_supervisor *supervisor)
{
	static const struct timeval now;

	if (supervisor->timeout)
		event_add(supervisor->timeout, &now);
}

static void begin_next(struct request_supervisor *supervisor)
{
	static const struct timeval delay = {.tv_usec = CONNECT_DELAY_MS * 1000};
	struct request_attempt *attempt = &supervisor->attempts[supervisor->n_begun++];

	if (start_attempt(supervisor, attempt, on_readable) < 0)
		end_soon(supervisor);
	else if (supervisor->n_begun < supervisor->n_addresses && supervisor->next)
		event_add(supervisor->next, &delay);
}

static void on_next(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	begin_next(context);
}

static void begin_with(struct request_supervisor *supervisor, const struct request_names *names)
{
	for (uint32_t i = 0; i < names->n; i++)
		supervisor->attempts[supervisor->n_addresses++] =
			(struct request_attempt){.address = names->addresses[i], .fd = -1};
	begin_next(supervisor);
}

static void on_names(struct request_supervisor *supervisor, const struct request_names *names)
{
	struct request_names sorted;

	address_order_sort(&supervisor->order, names, &sorted);
	begin_with(supervisor, &sorted);
}

static void on_look_up_readable(struct request_attempt *attempt)
{
	union {
		struct request_names names;
		struct request_result result;
		char more[sizeof(struct request_names) + sizeof(struct request_result)];
	} packet;
	struct request_supervisor *supervisor = attempt->context;
	struct request_names names;
	struct request_result result;
	ssize_t n = request_attempt_receive(attempt, &packet, sizeof packet);

	if (n == -EAGAIN)
		return;
	request_attempt_end(attempt);
	if (n > 0 && request_decode_names(&packet, (size_t)n, &names) == 0)
		on_names(supervisor, &names);
	else if (n > 0 && request_decode_result(&packet, (size_t)n, &result) == 0 &&
		 result.outcome == REQUEST_FAILED)
		fail(supervisor, REQUEST_FAILED, result.text);
	else
		fail(supervisor, REQUEST_FAILED, "the process that looks the server up broke off");
}

static void begin(struct request_supervisor *supervisor)
{
	struct ipv4 address = supervisor->address, literal;

	if (address.value == 0 && ipv4_parse(supervisor->config->server, &literal) == 0)
		address = literal;
	if (address.value != 0) {
		begin_with(supervisor, &(struct request_names){.n = 1, .addresses = {address}});
		return;
	}
	supervisor->look_up = (struct request_attempt){.fd = -1};
	if (start_attempt(supervisor, &supervisor->look_up, on_look_up_readable) < 0)
		end_soon(supervisor);
}

static void on_token_end(void *context, const char *fault)
{
	if (fault)
		fail(context, REQUEST_FAILED, fault);
	else
		begin(context);
}

static void get_token(struct request_supervisor *supervisor)
{
	const struct request_order order = make_order(supervisor);
	int error;

	supervisor->token = (struct token_request){.source = supervisor->config->token_source,
		.base = supervisor->base,
		.on_end = on_token_end,
		.context = supervisor};
	error = token_request_start(&supervisor->token, &order);
	if (error < 0) {
		log_error("cannot start the process that gets a token: %s", strerror(-error));
		end_soon(supervisor);
	}
}

static bool needs_token(const struct client_config *config)
{
	return config->token_source &&
	       token_source_is_due(config->token_source, clock_now_ms(&boot_clock),
		       (int64_t)(clock_wall_ns() / NS_PER_S));
}

void request_supervisor_start(struct request_supervisor *supervisor, const char *path,
	struct ipv4 address, unsigned int time_ms)
{
	struct timeval time = timeval_from_ms(time_ms);

	request_supervisor_cancel(supervisor);
	supervisor->result = (struct request_result){.outcome = REQUEST_FAILED};
	snprintf(supervisor->path, sizeof supervisor->path, "%s", path);
	supervisor->timeout = evtimer_new(supervisor->base, on_timeout, supervisor);
	supervisor->next = evtimer_new(supervisor->base, on_next, supervisor);
	if (supervisor->timeout)
		event_add(supervisor->timeout, &time);
	supervisor->address = address;
	if (needs_token(supervisor->config))
		get_token(supervisor);
	else
		begin(supervisor);
}
