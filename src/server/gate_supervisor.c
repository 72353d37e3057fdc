/*
 * Starts the gates and talks with them. Runs in the broker.
 */
#include "server/gate_supervisor.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/log.h"
#include "ipc/packet.h"
#include "server/child.h"
#include "server/client_socket.h"
#include "server/gate_allowance.h"
#include "server/gate_notices.h"
#include "server/gate_sheets.h"

_Static_assert((int)GATE_FD_BROKER == (int)CHILD_FD_BROKER, "where a gate looks for its socket");
_Static_assert(
	GATE_FD_CONFIG == CHILD_FD_BROKER + 1 && (int)GATE_FD_FIRST_LISTENER == CHILD_FD_BROKER + 2,
	"in the order of child_spawn()");

struct gate_supervisor {
	struct gate_supervisor_config config;
	struct child_group *gates;
	bool were_ready; /* all of them, at least once */
	struct gate_allowance *allowances; /* one a gate */
	struct gate_sheets *sheets;
	struct gate_notices *notices;
	struct event *check; /* of the sheets, and of who stands still */
};

enum {
	CHECK_INTERVAL_MS = 1000,
	/* A connection is counted before it is known to be one too many. */
	CHECK_SLACK = 1,
	/* Checks at which a gate has not moved. They are counted, and not time, since it may be us
	   who stand still, or the whole machine. On one that is busy a gate may wait long for its
	   processor; but its clients wait for 5 s, and what comes next is accepted by others. */
	STILL_MAX = 30,
	START_STILL_MAX = 120,
};

/* The configuration, the listeners, the sheets, and the issuers' one. */
static int spawn_gate(const struct gate_supervisor *supervisor, struct child *gate, int config_fd)
{
	size_t n_listeners = supervisor->config.settings->config.n_endpoints;
	bool has_issuers = supervisor->config.settings->config.has_issuers == 1;
	size_t n_sheets = supervisor->config.n_gates + 1;
	size_t n = 1 + n_listeners + n_sheets + (has_issuers ? 1 : 0);
	auto_free int *descriptors = calloc(n, sizeof *descriptors);

	if (!descriptors)
		return -ENOMEM;
	descriptors[0] = config_fd;
	memcpy(descriptors + 1, supervisor->config.listeners, n_listeners * sizeof *descriptors);
	gate_sheets_hand_out(supervisor->sheets, gate->number, descriptors + 1 + n_listeners);
	if (has_issuers)
		descriptors[n - 1] = supervisor->config.issuers_fd;
	return child_spawn(gate, descriptors, n);
}

/* One that hangs would keep its clients, and what it has accepted, for ever. For those that are to
 * finish there is a limit anyway. */
static bool is_hung(const struct gate_supervisor *supervisor, const struct child *gate)
{
	unsigned int max = gate->is_ready ? STILL_MAX : START_STILL_MAX;

	return gate_sheets_still(supervisor->sheets, gate->number) >= max &&
	       !child_group_is_retired(supervisor->gates);
}

static void check(const struct gate_supervisor *supervisor, struct child *gate)
{
	uint32_t max = supervisor->config.settings->config.max_connections + CHECK_SLACK;

	if (gate->fd < 0)
		return;
	if (gate_sheets_is_false(supervisor->sheets, gate->number, max))
		child_expel(gate, "it counts more connections than it may have", -ERANGE);
	else if (is_hung(supervisor, gate))
		child_expel(gate, "it stands still", -ETIMEDOUT);
}

static void on_check(evutil_socket_t fd, short what, void *context)
{
	struct gate_supervisor *supervisor = context;

	(void)fd;
	(void)what;
	for (unsigned int i = 0; i < supervisor->config.n_gates; i++)
		check(supervisor, child_group_get(supervisor->gates, i));
}

/* Ends a gate that has no room for what it is told. */
static void send_reply(
	struct child *gate, const struct ipc_reply *reply, int descriptor, const char *failure)
{
	int error = gate->fd >= 0 ? ipc_send_reply(gate->fd, reply, descriptor) : 0;

	if (error < 0 && !packet_is_hung_up(error))
		child_expel(gate, failure, error);
}

static int start_gate(void *context, struct child *gate)
{
	struct gate_supervisor *supervisor = context;
	const struct ipc_reply tokens = {.version = IPC_VERSION, .kind = IPC_TOKENS};
	auto_close int config_fd = -1;
	int error;

	supervisor->allowances[gate->number] = gate_allowance_full(clock_now_ms(&system_clock));
	gate_notices_forget(supervisor->notices, gate->number);
	supervisor->config.settings->config.gate_number = gate->number;
	config_fd = gate_config_write(supervisor->config.settings);
	error = config_fd < 0 ? config_fd : spawn_gate(supervisor, gate, config_fd);
	/* Before its signer, without which it accepts nobody. */
	if (error == 0 && supervisor->config.tokens >= 0)
		send_reply(gate, &tokens, supervisor->config.tokens, "it does not take the tokens");
	/* Those that are started first get theirs when it serves for the first time. */
	if (error == 0 && supervisor->gates)
		supervisor->config.on_started(supervisor->config.context, gate->number);
	return error;
}

static bool are_ready(const struct gate_supervisor *supervisor)
{
	for (unsigned int i = 0; i < supervisor->config.n_gates; i++)
		if (!child_group_get(supervisor->gates, i)->is_ready)
			return false;
	return true;
}

static void record_ready(struct gate_supervisor *supervisor, struct child *gate)
{
	gate->is_ready = true;
	if (supervisor->were_ready || !are_ready(supervisor))
		return;
	supervisor->were_ready = true;
	supervisor->config.on_ready(supervisor->config.context);
}

/* Whether the client has come to us. */
static bool is_client(const struct gate_supervisor *supervisor, const struct client_socket *client)
{
	return client->local_port == supervisor->config.port &&
	       supervisor->config.is_ours(supervisor->config.context, client->local);
}

static int identify_client(const struct gate_supervisor *supervisor, const struct child *gate,
	int socket, struct client_request *request)
{
	struct client_socket client;
	int error = client_socket_claim(socket, gate->fd, &client);

	if (error < 0)
		return error;
	request->source = client.peer;
	request->source_port = client.peer_port;
	request->bind = client.local;
	return is_client(supervisor, &client) ? 0 : -EPROTO;
}

/* A gate that was taken over has nothing but its clients' sockets to ask with: whom it asks for is
 * not believed, but read from there. */
static void handle_request(struct gate_supervisor *supervisor, struct child *gate,
	const struct ipc_request *message, int socket)
{
	struct reply_to reply_to = {gate->number, gate->generation, message->id};
	struct client_request request = {.operation = (enum ipc_operation)message->operation,
		.key = message->key,
		.name = message->name};
	int error = gate_allowance_ask(&supervisor->allowances[gate->number]);

	if (error < 0) {
		child_expel(gate, "it does not wait for its answers", error);
		return;
	}
	error = identify_client(supervisor, gate, socket, &request);
	if (error == 0)
		supervisor->config.on_request(supervisor->config.context, &request, &reply_to);
	else if (error == -ENOTCONN)
		gate_supervisor_answer(supervisor, &reply_to, IPC_FAILED, (struct ipv4){0});
	else
		child_expel(gate, "it asks for somebody who is not its client", error);
}

static void read_message(struct gate_supervisor *supervisor, struct child *gate)
{
	struct ipc_request message;
	auto_close int socket = -1;
	int error = ipc_receive_request(gate->fd, &message, &socket);

	if (error == 0) {
		gate_allowance_spend(&supervisor->allowances[gate->number]);
		if (message.operation == IPC_READY)
			record_ready(supervisor, gate);
		else if (message.operation == IPC_REFUSED)
			supervisor->config.on_refused(supervisor->config.context, &message.refusal);
		else if (message.operation == IPC_FETCH_KEYS)
			supervisor->config.on_fetch_keys(
				supervisor->config.context, message.issuer);
		else
			handle_request(supervisor, gate, &message, socket);
	} else {
		child_read_failed(gate, "cannot read its request", error);
	}
}

/* One message a call, so that no gate keeps the others waiting. */
static void on_gate_readable(void *context, struct child *gate)
{
	struct gate_supervisor *supervisor = context;
	unsigned int wait_ms = gate_allowance_wait_ms(
		&supervisor->allowances[gate->number], clock_now_ms(&system_clock));

	if (wait_ms > 0)
		child_pause(gate, wait_ms);
	else
		read_message(supervisor, gate);
}

static void report_drained(const struct gate_supervisor *supervisor)
{
	if (child_group_is_retired(supervisor->gates) && !child_group_is_running(supervisor->gates))
		supervisor->config.on_drained(supervisor->config.context);
}

static void on_gate_ended(void *context, struct child *gate)
{
	struct gate_supervisor *supervisor = context;

	gate_sheets_clear(supervisor->sheets, gate->number);
	gate_notices_forget(supervisor->notices, gate->number);
	supervisor->config.on_gate_ended(
		supervisor->config.context, gate->number, gate->generation);
	report_drained(supervisor);
}

void gate_supervisor_answer(struct gate_supervisor *supervisor, const struct reply_to *reply_to,
	enum ipc_status status, struct ipv4 address)
{
	struct child *gate = child_group_get(supervisor->gates, reply_to->gate);
	const struct ipc_reply reply = {
		.version = IPC_VERSION,
		.kind = IPC_ANSWER,
		.status = (uint16_t)status,
		.id = reply_to->id,
		.address = address,
	};

	if (gate->generation != reply_to->generation)
		return;
	gate_allowance_answer(&supervisor->allowances[gate->number]);
	send_reply(gate, &reply, -1, "it does not take its answers");
}

/* unix(7): a socket is writable while less than a quarter of it is used. The rest is for answers,
 * which do not wait. */
static bool has_room(int fd)
{
	struct pollfd room = {.fd = fd, .events = POLLOUT};

	return poll(&room, 1, 0) == 1 && (room.revents & POLLOUT) != 0;
}

static int send_notice(
	void *context, unsigned int number, const struct ipc_reply *notice, int descriptor)
{
	struct gate_supervisor *supervisor = context;
	struct child *gate = child_group_get(supervisor->gates, number);
	int error;

	if (gate->fd < 0)
		return -EPIPE;
	if (!has_room(gate->fd))
		return -EAGAIN;
	error = ipc_send_reply(gate->fd, notice, descriptor);
	if (error == -ENOBUFS || error == -ETOOMANYREFS || error == -EINTR)
		return -EAGAIN;
	if (error < 0 && error != -EAGAIN && !packet_is_hung_up(error))
		child_expel(gate, "it cannot be told what has changed", error);
	return error;
}

static size_t find(const struct gate_settings *settings, struct ipv4 bind)
{
	size_t i = 0;

	while (i < settings->config.n_endpoints && !ipv4_equal(settings->endpoints[i].bind, bind))
		i++;
	return i;
}

int gate_supervisor_serve(
	struct gate_supervisor *supervisor, const struct gate_endpoint *endpoint, int listener)
{
	struct gate_settings *settings = supervisor->config.settings;

	if (settings->config.n_endpoints == settings->config.max_endpoints)
		return -ENOSPC;
	settings->endpoints[settings->config.n_endpoints] = *endpoint;
	supervisor->config.listeners[settings->config.n_endpoints++] = listener;
	return gate_notices_endpoint(supervisor->notices, endpoint, listener);
}

void gate_supervisor_serve_no_more(struct gate_supervisor *supervisor, struct ipv4 bind)
{
	struct gate_settings *settings = supervisor->config.settings;
	size_t i = find(settings, bind);

	if (i < settings->config.n_endpoints) {
		size_t last = --settings->config.n_endpoints;

		settings->endpoints[i] = settings->endpoints[last];
		supervisor->config.listeners[i] = supervisor->config.listeners[last];
	}
	if (gate_notices_gone(supervisor->notices, bind) < 0)
		log_error("cannot tell the gates that %s is served no more: %s", ipv4_text(bind).s,
			strerror(ENOMEM));
}

int gate_supervisor_change(struct gate_supervisor *supervisor, const struct live_settings *live)
{
	supervisor->config.settings->config.live = *live;
	return gate_notices_live(supervisor->notices, live);
}

int gate_supervisor_use_tokens(struct gate_supervisor *supervisor, int fd)
{
	int error = gate_notices_tokens(supervisor->notices, fd);

	if (supervisor->config.tokens >= 0)
		close(supervisor->config.tokens);
	supervisor->config.tokens = fd;
	return error;
}

void gate_supervisor_give_signer(
	struct gate_supervisor *supervisor, unsigned int number, int signer_fd)
{
	const struct ipc_reply reply = {.version = IPC_VERSION, .kind = IPC_SIGNER};

	send_reply(child_group_get(supervisor->gates, number), &reply, signer_fd,
		"it does not take its signer");
}

void gate_supervisor_drop(struct gate_supervisor *supervisor, unsigned int number, int error)
{
	struct child *gate = child_group_get(supervisor->gates, number);

	if (gate->fd >= 0)
		child_expel(gate, "its signer does not serve it any more", error);
}

void gate_supervisor_count(const struct gate_supervisor *supervisor, struct gate_counts *counts)
{
	gate_sheets_sum(supervisor->sheets, counts);
}

uint64_t gate_supervisor_waiting(const struct gate_supervisor *supervisor)
{
	return gate_sheets_waiting(supervisor->sheets);
}

const struct child *gate_supervisor_get(
	const struct gate_supervisor *supervisor, unsigned int number)
{
	return child_group_get(supervisor->gates, number);
}

static void free_memory(struct gate_supervisor *supervisor)
{
	if (!supervisor)
		return;
	free_event(supervisor->check);
	gate_sheets_free(supervisor->sheets);
	gate_notices_free(supervisor->notices);
	free(supervisor->allowances);
	if (supervisor->config.tokens >= 0)
		close(supervisor->config.tokens);
	free(supervisor);
}

static int start_checks(struct gate_supervisor *supervisor, struct event_base *base)
{
	const struct timeval interval = timeval_from_ms(CHECK_INTERVAL_MS);

	supervisor->check = event_new(base, -1, EV_PERSIST, on_check, supervisor);
	return supervisor->check && event_add(supervisor->check, &interval) == 0 ? 0 : -ENOMEM;
}

int gate_supervisor_new(struct event_base *base, const struct gate_supervisor_config *config,
	struct gate_supervisor **result)
{
	struct gate_supervisor *supervisor = calloc(1, sizeof *supervisor);
	const struct child_group_config gates = {
		.command = "gate",
		.n = config->n_gates,
		.start = start_gate,
		.readable = on_gate_readable,
		.ended = on_gate_ended,
		.context = supervisor,
	};
	int error = -ENOMEM;

	if (supervisor) {
		supervisor->config = *config;
		supervisor->allowances = calloc(config->n_gates, sizeof *supervisor->allowances);
		if (supervisor->allowances)
			error = gate_sheets_new(config->n_gates, &supervisor->sheets);
		if (error == 0)
			error = gate_notices_new(base, config->n_gates, send_notice, supervisor,
				&supervisor->notices);
		if (error == 0)
			error = start_checks(supervisor, base);
		if (error == 0)
			error = child_group_new(base, &gates, &supervisor->gates);
	}
	if (error < 0) {
		log_error("cannot start the gates: %s", strerror(-error));
		free_memory(supervisor);
		return error;
	}
	*result = supervisor;
	return 0;
}

void gate_supervisor_drain(struct gate_supervisor *supervisor, bool hand_over)
{
	const struct ipc_reply drain = {
		.version = IPC_VERSION, .kind = hand_over ? IPC_HAND_OVER : IPC_DRAIN};

	child_group_retire(supervisor->gates);
	for (unsigned int i = 0; i < supervisor->config.n_gates; i++)
		send_reply(child_group_get(supervisor->gates, i), &drain, -1,
			"it cannot be told to finish");
	report_drained(supervisor);
}

void gate_supervisor_free(struct gate_supervisor *supervisor)
{
	if (!supervisor)
		return;
	child_group_free(supervisor->gates);
	free_memory(supervisor);
}
