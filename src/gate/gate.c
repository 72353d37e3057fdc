/* Starts a gate, confines it, runs its event loop, and ends it: the main file of each of these
 * processes, which have one thread. Nothing is read from the network before it is confined. */
#include "gate/gate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/event.h"
#include "base/log.h"
#include "base/log_timer.h"
#include "base/sandbox.h"
#include "base/signals.h"
#include "gate/acceptor.h"
#include "gate/admission.h"
#include "gate/broker_link.h"
#include "gate/inheritance.h"
#include "gate/refusal_report.h"
#include "gate/jwt_signature.h"
#include "gate/request_body.h"
#include "gate/signer_link.h"
#include "gate/tls.h"
#include "gate/turn_timer.h"
#include "http/tls_error.h"
#include "ipc/gate_config.h"

enum {
	SPARE_FILES = 32, /* descriptors that are neither connections nor listeners */
	PRIORITIES = 2, /* of events: the broker's answers and the count of turns, and all others */
	CALLBACKS_AT_ONCE = 16, /* before the broker's answers have their turn again */
	FEWEST_REQUESTS = 16, /* with the broker at a time, however many gates there are */
	DRAIN_MS = 10000, /* for what is in flight when the gate is to finish */
	SILENCE_MS = 1000, /* of it, where others are to go on: for who has said nothing yet */
};

struct gate_process {
	struct inheritance inherited;
	struct event_base *base;
	struct broker_link *broker;
	struct signer_link *signer;
	bool has_signer;
	struct issuers issuers;
	struct acceptor *acceptor;
	struct connection_set connections;
	bool has_connections; /* connections is set up */
	struct event *drained; /* the end of the time to drain */
	struct event *silence; /* the end of that for who says nothing */
	struct event *log_timer;
	struct event *turn_timer;
	bool is_open; /* it is confined, and accepts */
	bool is_over;
	int exit_status;
};

static void finish(struct gate_process *gate, int exit_status)
{
	gate->exit_status = exit_status;
	gate->is_over = true;
	event_base_loopbreak(gate->base);
}

static void on_emptied(void *context)
{
	log_debug("drained");
	finish(context, EXIT_SUCCESS);
}

static void on_drain_timeout(evutil_socket_t fd, short what, void *context)
{
	struct gate_process *gate = context;

	(void)fd;
	(void)what;
	log_warning("%u connections were not finished in time", gate->connections.count);
	finish(gate, EXIT_SUCCESS);
}

static void on_silence(evutil_socket_t fd, short what, void *context)
{
	struct gate_process *gate = context;

	(void)fd;
	(void)what;
	admission_close_idle(&gate->connections, false);
}

static void on_drain(void *context, bool hand_over)
{
	static const struct timeval limit = {DRAIN_MS / 1000, 0}, silence = {SILENCE_MS / 1000, 0};
	struct gate_process *gate = context;

	if (gate->connections.draining)
		return;
	acceptor_free(gate->acceptor);
	gate->acceptor = NULL;
	log_debug("draining: %u connections", gate->connections.count);
	evtimer_add(gate->drained, &limit);
	if (hand_over)
		evtimer_add(gate->silence, &silence);
	admission_drain(&gate->connections, hand_over);
}

static void on_lost(void *context, int error)
{
	struct gate_process *gate = context;

	if (error == -EPROTO) {
		log_error("the broker sent what is no message");
	} else if (gate->connections.draining) {
		/* It was told a second time to stop, and waits for nobody. */
		log_debug("the broker has ended: %s", strerror(-error));
		finish(gate, EXIT_SUCCESS);
		return;
	} else {
		log_error("the broker is gone: %s", strerror(-error));
	}
	finish(gate, EXIT_FAILURE);
}

static void on_signer(void *context, int fd)
{
	struct gate_process *gate = context;

	if (signer_link_connect(gate->signer, fd) == 0)
		return;
	log_error("cannot use the socket to the signer");
	finish(gate, EXIT_FAILURE);
}

static void on_endpoint(void *context, const struct gate_endpoint *endpoint, int fd)
{
	struct gate_process *gate = context;

	if (!gate->acceptor) {
		close(fd);
		return;
	}
	if (acceptor_add(gate->acceptor, fd, endpoint) == 0 &&
		served_add(&gate->inherited.routes.served, endpoint) == 0)
		return;
	log_error("cannot serve %s: %s", ipv4_text(endpoint->bind).s, strerror(ENOMEM));
	finish(gate, EXIT_FAILURE);
}

/* Who is connected to it is answered that it is not served here. */
static void on_endpoint_gone(void *context, struct ipv4 bind)
{
	struct gate_process *gate = context;

	if (gate->acceptor)
		acceptor_remove(gate->acceptor, bind);
	served_remove(&gate->inherited.routes.served, bind);
}

static void on_live_settings(void *context, const struct live_settings *live)
{
	struct gate_process *gate = context;

	inheritance_change(&gate->inherited, live);
	gate->connections.max_per_source = live->max_connections_per_source;
}

static void on_tokens(void *context, int fd)
{
	struct gate_process *gate = context;

	inheritance_use_tokens(&gate->inherited, fd);
}

static void accept_if_ready(struct gate_process *gate)
{
	if (gate->acceptor && gate->has_signer && gate->is_open)
		acceptor_resume(gate->acceptor);
}

static void on_signer_connected(void *context)
{
	struct gate_process *gate = context;

	gate->has_signer = true;
	accept_if_ready(gate);
}

/* Nobody can be served without it. Who comes waits, or is taken by another gate. A signer that has
 * died is replaced; one that goes on and makes no sense to us will make none, but perhaps to the
 * next gate. */
static void on_signer_lost(void *context, int error)
{
	struct gate_process *gate = context;

	if (error == -EPROTO) {
		log_error("the signer sent what is no message");
		finish(gate, EXIT_FAILURE);
		return;
	}
	gate->has_signer = false;
	if (gate->acceptor)
		acceptor_pause(gate->acceptor);
}

static int sign(void *context, struct signing_request *request, uint8_t *signature, size_t *length)
{
	struct gate_process *gate = context;

	return signer_link_sign(gate->signer, request, signature, length);
}

static void on_libevent_message(int severity, const char *message)
{
	log_line(severity >= EVENT_LOG_WARN ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG, "libevent: %s",
		message);
}

/* As many connections as were asked for, or as there can be descriptors for. */
static unsigned int fit_connections(const struct gate_config *config)
{
	unsigned int others = GATE_FD_FIRST_LISTENER + config->max_endpoints + SPARE_FILES;
	int files = sandbox_raise_files(config->max_connections + others);
	unsigned int fit = files > (int)others ? (unsigned int)files - others : 1;

	if (fit >= config->max_connections)
		return config->max_connections;
	log_warning("%u connections at most, not %u: the limit of open files is %d", fit,
		config->max_connections, files);
	return fit;
}

/* What the broker has to do before a request that comes now: the more gates, the less of each. But
 * it removes tunnels in batches. */
static unsigned int fit_requests(unsigned int n_gates)
{
	unsigned int share = IPC_OUTSTANDING_MAX / n_gates;

	return share > FEWEST_REQUESTS ? share : FEWEST_REQUESTS;
}

static struct event_base *new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	event_set_log_callback(on_libevent_message);
	if (config &&
		event_config_set_flag(
			config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV) == 0 &&
		event_config_set_max_dispatch_interval(config, NULL, CALLBACKS_AT_ONCE, 1) == 0)
		base = event_base_new_with_config(config);
	if (config)
		event_config_free(config);
	return base;
}

/* Those that it begins with. Nothing is accepted yet. */
static int take_listeners(struct gate_process *gate)
{
	const struct gate_settings *settings = &gate->inherited.settings;
	int error = 0;

	gate->acceptor = acceptor_new(gate->base, &gate->connections);
	if (!gate->acceptor)
		return -ENOMEM;
	for (unsigned int i = 0; i < settings->config.n_endpoints && error == 0; i++) {
		int fd = GATE_FD_FIRST_LISTENER + (int)i;

		if (evutil_make_socket_nonblocking(fd) < 0 ||
			evutil_make_socket_closeonexec(fd) < 0)
			return -errno;
		error = acceptor_add(gate->acceptor, fd, &settings->endpoints[i]);
	}
	return error;
}

static void on_ask(void *context, unsigned int issuer)
{
	struct gate_process *gate = context;
	const struct ipc_request request = {
		.version = IPC_VERSION, .operation = IPC_FETCH_KEYS, .issuer = (uint16_t)issuer};

	/* Without room now, it is asked again soon; without a broker, this gate ends. */
	if (broker_link_tell(gate->broker, &request) < 0)
		log_debug("cannot ask for the keys of an issuer");
}

/* Before the first request. */
static void use_issuers(struct gate_process *gate)
{
	gate->issuers = (struct issuers){.sheet = gate->inherited.issuers,
		.clock = &boot_clock,
		.ask = on_ask,
		.context = gate};
	if (gate->inherited.issuers)
		gate->inherited.routes.auth.issuers = &gate->issuers;
}

/* Everything that waits for events. */
static int set_up(struct gate_process *gate)
{
	const struct gate_config *config = &gate->inherited.settings.config;
	struct connection_set *connections = &gate->connections;
	const struct broker_events events = {on_drain, on_signer, on_endpoint, on_endpoint_gone,
		on_live_settings, on_tokens, on_lost, gate};
	const struct signer_events signer_events = {on_signer_connected, on_signer_lost, gate};

	gate->base = new_base();
	if (!gate->base || event_base_priority_init(gate->base, PRIORITIES) < 0)
		return -ENOMEM;
	gate->drained = evtimer_new(gate->base, on_drain_timeout, gate);
	gate->silence = evtimer_new(gate->base, on_silence, gate);
	gate->broker =
		broker_link_new(gate->base, GATE_FD_BROKER, fit_requests(config->n_gates), &events);
	if (!gate->broker)
		return -errno;
	gate->signer = signer_link_new(gate->base, &signer_events);
	if (!gate->signer)
		return -errno;
	gate->log_timer = log_timer_new(gate->base);
	gate->turn_timer = turn_timer_new(gate->base, gate->inherited.answered);
	if (!gate->drained || !gate->silence || !gate->log_timer || !gate->turn_timer)
		return -ENOMEM;

	*connections = (struct connection_set){
		.base = gate->base,
		.tls = gate->inherited.tls,
		.routes = &gate->inherited.routes,
		.broker = gate->broker,
		.signer = gate->signer,
		.counts = gate->inherited.answered,
		.refusals = refusal_report_new(gate->base, gate->broker),
		.clock = &system_clock,
		.max = fit_connections(config),
		.max_per_source = config->live.max_connections_per_source,
		.emptied = on_emptied,
		.context = gate,
	};
	connections->sources.counts = gate->inherited.counts;
	use_issuers(gate);

	int error = connections->refusals ? connection_set_init(connections) : -ENOMEM;

	gate->has_connections = error == 0;
	return error < 0 ? error : take_listeners(gate);
}

/* Before there are connections: for the broker, or for the signer. False when it is all over. */
static bool wait_for_event(void *context)
{
	struct gate_process *gate = context;

	return !gate->is_over && event_base_loop(gate->base, EVLOOP_ONCE) >= 0 && !gate->is_over;
}

/* The first handshake needs it. */
static int wait_for_signer(struct gate_process *gate)
{
	while (!gate->has_signer)
		if (!wait_for_event(gate))
			return -ECANCELED;
	return 0;
}

static void ignore(struct signer_waiter *waiter)
{
	(void)waiter;
}

/* A handshake that the gate goes through with itself. */
struct rehearsal {
	struct gate_process *gate;
	struct signer_waiter waiter;
};

/* One that is not to wait any longer is gone on with once more, to leave its job. */
static bool wait_for_signature(void *context)
{
	struct rehearsal *rehearsal = context;

	return wait_for_event(rehearsal->gate) ||
	       signer_link_cancel(rehearsal->gate->signer, &rehearsal->waiter);
}

/* What the libraries open late they would open behind the filter, and the gate would be killed. */
static int warm_up(struct gate_process *gate)
{
	struct rehearsal rehearsal = {gate, {.resume = ignore}};

	tzset();
	request_body_warm_up();
	if (gate->inherited.issuers && jwt_signature_warm_up() < 0) {
		log_error("cannot verify tokens: %s", tls_error());
		return -EIO;
	}
	signer_link_enter(gate->signer, &rehearsal.waiter);
	if (tls_warm_up(gate->inherited.tls, wait_for_signature, &rehearsal) == 0)
		return 0;
	if (gate->is_over)
		return -ECANCELED;
	log_error("TLS does not work with this certificate: %s", tls_error());
	return -EIO;
}

static int lock_up(const struct gate_config *config)
{
	int error = sandbox_drop_privileges(config->user, config->group);

	if (error < 0)
		return error;
	error = sandbox_filter_calls(GATE_FD_BROKER);
	if (error < 0)
		log_error("cannot filter system calls: %s", strerror(-error));
	return error;
}

static int report_ready(void)
{
	const struct ipc_request ready = {.version = IPC_VERSION, .operation = IPC_READY};
	int error = ipc_send_request(GATE_FD_BROKER, &ready, -1);

	if (error < 0)
		log_error("cannot tell the broker that this gate is ready: %s", strerror(-error));
	return error;
}

static int start(struct gate_process *gate)
{
	const struct remote_signer signer = {sign, gate};
	int error = inheritance_take(&gate->inherited, &signer);

	if (error < 0)
		return error;
	error = set_up(gate);
	if (error < 0) {
		log_error("cannot set up: %s", strerror(-error));
		return error;
	}
	error = wait_for_signer(gate);
	if (error == 0)
		error = warm_up(gate);
	if (error == 0)
		error = lock_up(&gate->inherited.settings.config);
	if (error < 0)
		return error;
	gate->is_open = true;
	accept_if_ready(gate);
	/* Until here it had longer: what it took of that does not count any more. */
	gate_counts_turn(gate->inherited.answered);
	return report_ready();
}

static void free_all(struct gate_process *gate)
{
	acceptor_free(gate->acceptor);
	if (gate->has_connections) {
		admission_close_all(&gate->connections);
		connection_set_free(&gate->connections);
	}
	refusal_report_free(gate->connections.refusals);
	broker_link_free(gate->broker);
	signer_link_free(gate->signer);
	free_event(gate->drained);
	free_event(gate->silence);
	free_event(gate->log_timer);
	free_event(gate->turn_timer);
	if (gate->base)
		event_base_free(gate->base);
	inheritance_free(&gate->inherited);
}

int gate_main(void)
{
	struct gate_process gate = {.exit_status = EXIT_FAILURE};

	signals_leave_to_parent();
	log_open();
	if (start(&gate) == 0) {
		log_debug("serves %u endpoints", gate.inherited.settings.config.n_endpoints);
		event_base_dispatch(gate.base);
	}
	free_all(&gate);
	return gate.exit_status;
}
