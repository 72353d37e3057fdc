/*
 * The broker: the one process that owns all of a server's state, in one event loop: its start, the
 * loop's events, and its end, which undoes the start. What would block the loop is a job's (job.h).
 */
#include "server/broker.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/log.h"
#include "base/log_timer.h"
#include "base/notify.h"
#include "base/rights.h"
#include "base/signals.h"
#include "base/version.h"
#include "host/host.h"
#include "ipc/report.h"
#include "ipc/token_set.h"
#include "server/audit.h"
#include "server/cloud_watch.h"
#include "server/config.h"
#include "server/control_socket.h"
#include "server/credentials.h"
#include "server/data_plane.h"
#include "server/destinations.h"
#include "server/device_watch.h"
#include "server/disconnections.h"
#include "server/flow_link.h"
#include "server/follow.h"
#include "server/gate_setup.h"
#include "server/gate_supervisor.h"
#include "server/holder_link.h"
#include "server/host_setup.h"
#include "server/inspection.h"
#include "server/issuer_supervisor.h"
#include "server/listener.h"
#include "server/listener_store.h"
#include "server/lock.h"
#include "server/metrics_link.h"
#include "server/peer_events.h"
#include "server/peer_listing.h"
#include "server/pending_connects.h"
#include "server/possible_client.h"
#include "server/privileges.h"
#include "server/promise_round.h"
#include "server/reload.h"
#include "server/reporter.h"
#include "server/requests.h"
#include "server/serving.h"
#include "server/signer_supervisor.h"
#include "server/snapshot.h"
#include "server/store_setup.h"

/* One of its own: what no gate may be able to stop. */
static const char holder_user[] = "vprox-holder";
static const char metrics_user[] = "vprox-metrics";
static const char flows_user[] = "vprox-flows";

enum { NS_PER_MS = 1000 * 1000 };

enum {
	BUSY_GATE = 2, /* clients that have no answer yet, so that it does not stand still */
	LARGE_TABLE_SIZE = 128 * 1024, /* as malloc(3) has it at first */
};

struct broker {
	struct server_config *config;
	const struct config_source *source;
	int lock;
	struct credentials credentials;
	struct listener_store listener_store;
	struct listeners listeners;
	struct store_setup store;
	struct audit *audit; /* NULL without --audit */
	struct flow_link *flow_link; /* NULL without --flow-log */
	struct data_plane data_plane;
	struct host *host;
	struct device_watch *device_watch;

	struct event_base *base;
	struct cloud_watch *cloud; /* NULL without --cloud */
	struct follow *follow; /* NULL without --follow and --cloud */
	struct gate_settings gate_settings;
	int *gate_listeners;
	struct gate_supervisor *supervisor;
	struct signer_supervisor *signers;
	struct reporter *reporter; /* NULL: nothing is reported */
	struct issuer_supervisor *issuers; /* NULL: only passwords are good */
	struct control_socket *control;
	struct disconnections disconnections;
	struct metrics_link *metrics; /* NULL without --metrics */
	uint64_t started_ms, started_wall_ms;
	struct event *signals[3]; /* SIGTERM, SIGINT, SIGHUP */
	struct event *inspect, *drain_timeout, *log_timer, *names;
	struct destinations_round reach; /* of other tokens */
	struct promise_round promising; /* anew, to a store that has lost it */
	const char *changes; /* of the configuration, that are not all in force yet; or NULL */
	bool is_hung_up_again; /* meanwhile */
	bool draining;
};

static void stop_draining(void *context)
{
	struct broker *broker = context;

	event_base_loopbreak(broker->base);
}

static void on_drain_timeout(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	log_warning("some requests were not finished in time");
	stop_draining(context);
}

/* Who comes now is refused, where else he would wait for the next server. */
static void stop_listening(struct broker *broker)
{
	listener_store_abandon(&broker->listener_store);
	listeners_close(&broker->listeners);
}

/* The first signal lets requests finish, a second one does not. */
static void on_signal(evutil_socket_t signal, short what, void *context)
{
	struct broker *broker = context;
	struct timeval timeout = timeval_from_ms(DRAIN_TIME_MS);

	(void)what;
	log_info("stopping: %s", strsignal((int)signal));
	if (broker->draining) {
		stop_draining(broker);
		return;
	}
	broker->draining = true;
	notify_service_manager("STOPPING=1");
	cloud_watch_free(broker->cloud, !broker->config->keep_on_exit);
	broker->cloud = NULL;
	follow_free(broker->follow);
	broker->follow = NULL;
	reporter_free(broker->reporter);
	broker->reporter = NULL;
	if (broker->config->keep_on_exit)
		listener_store_retire(&broker->listener_store);
	else
		stop_listening(broker);
	event_add(broker->drain_timeout, &timeout);
	gate_supervisor_drain(broker->supervisor, broker->config->keep_on_exit);
}

static void on_inspect(evutil_socket_t fd, short what, void *context)
{
	struct broker *broker = context;
	struct endpoint *endpoint;

	(void)fd;
	(void)what;
	data_plane_for_each(&broker->data_plane, endpoint)
		endpoint_inspect(endpoint, &broker->config->idle);
	/* Peers of names that went meanwhile come back with an address, and out of the store. */
	name_rules_enforce(&broker->data_plane.name_rules);
	flow_link_look(broker->flow_link);
}

/* Names that end by themselves end within a second. The time of day may be set meanwhile. */
static void watch_names(struct broker *broker)
{
	const struct timeval second = {1, 0};
	/* before: one that ends in between is not the last look's */
	const bool will_any_end = name_rules_next_end(&broker->data_plane.name_rules) != UINT64_MAX;

	name_rules_enforce(&broker->data_plane.name_rules);
	if (will_any_end)
		event_add(broker->names, &second);
}

static void on_names(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	watch_names(context);
}

static void on_names_changed(void *context)
{
	struct broker *broker = context;

	destinations_round_begin(&broker->reach);
	watch_names(context);
}

static void answer(
	void *context, const struct reply_to *to, enum ipc_status status, struct ipv4 address)
{
	struct broker *broker = context;

	if (to->gate == REPLY_TO_OPERATOR)
		disconnections_answer(&broker->disconnections, to->id, status);
	else
		gate_supervisor_answer(broker->supervisor, to, status, address);
}

/* An address that was ours may be another host's now, but is no client's. */
static bool can_have_tunnel(const struct broker *broker, struct ipv4 source)
{
	return is_possible_client(broker->config, source) &&
	       !data_plane_endpoint(&broker->data_plane, source);
}

static void refuse(
	struct broker *broker, const struct client_request *request, enum refusal_reason reason)
{
	const struct refused_request refusal = {
		request->source, request->bind, request->source_port, (uint16_t)reason, 1};

	audit_refuse(broker->audit, &refusal, request->name.s, NULL);
}

/* What a gate says, which the kernel has not said. */
static void on_refused(void *context, const struct refused_request *refusal)
{
	struct broker *broker = context;

	audit_refuse(broker->audit, refusal, NULL, NULL);
}

static void on_request(
	void *context, const struct client_request *request, const struct reply_to *reply_to)
{
	struct broker *broker = context;
	struct endpoint *endpoint = data_plane_endpoint(&broker->data_plane, request->bind);
	struct log_limit_text more;

	/* It went after its gate was asked. */
	if (!endpoint || !endpoint->is_served) {
		refuse(broker, request, REFUSAL_NOT_SERVED);
		answer(broker, reply_to, IPC_NOT_SERVED, (struct ipv4){0});
		return;
	}
	if (request->operation == IPC_CONNECT_IPIP && !can_have_tunnel(broker, request->source)) {
		if (endpoint_may_log(endpoint, request->source, &more))
			log_warning("%s: no IPIP tunnel is possible to %s%s",
				endpoint_text(endpoint).s, ipv4_text(request->source).s, more.s);
		refuse(broker, request, REFUSAL_SOURCE);
		answer(broker, reply_to, IPC_WRONG_SOURCE, (struct ipv4){0});
		return;
	}
	endpoint_handle(endpoint, request, reply_to);
}

static void on_gate_ended(void *context, unsigned int gate, uint64_t generation)
{
	struct broker *broker = context;
	struct endpoint *endpoint;

	data_plane_for_each(&broker->data_plane, endpoint)
		pending_connects_forget_gate(&endpoint->pending, gate, generation);
}

/* Of the gates: whether they run as somebody else than the broker. */
static bool changes_user(const struct gate_config *gate)
{
	return gate->user != geteuid() || gate->group != getegid();
}

static int take_lock(struct broker *broker)
{
	broker->lock = lock_take(LOCK_PATH);
	if (broker->lock >= 0)
		return 0;
	if (broker->lock == -EWOULDBLOCK)
		log_error("another vprox server runs on this host: it holds %s; stop it first",
			LOCK_PATH);
	else
		lock_log_failure(LOCK_PATH, broker->lock);
	return broker->lock;
}

/* Of the endpoints that are served from the start; the gates are told of them when they start. */
static int open_listeners(struct broker *broker)
{
	struct gate_settings *settings = &broker->gate_settings;
	const struct endpoint *endpoint;
	struct ipv4 *binds;
	int error = gate_setup_describe(settings, broker->config, &broker->credentials.identity);
	size_t n = 0;

	if (error < 0)
		return error;
	broker->gate_listeners =
		calloc(settings->config.max_endpoints, sizeof *broker->gate_listeners);
	binds = calloc(settings->config.max_endpoints, sizeof *binds);
	if (!broker->gate_listeners || !binds) {
		free(binds);
		return -ENOMEM;
	}
	TAILQ_FOREACH (endpoint, &broker->data_plane.endpoints, entry) {
		if (!endpoint->is_served)
			continue;
		binds[n] = endpoint->config.bind;
		settings->endpoints[n++] = gate_setup_describe_endpoint(endpoint);
	}
	error = listeners_open(&broker->listeners, &broker->listener_store, binds, n, CONTROL_PORT);
	free(binds);
	if (error < 0)
		return error;
	settings->config.n_endpoints = (uint32_t)n;
	for (size_t i = 0; i < n; i++)
		broker->gate_listeners[i] = broker->listeners.fds[i];
	return 0;
}

/* The host is made ready first: the firewall must be there before the first packet. */
static int open_data_plane(struct broker *broker)
{
	const struct data_plane_answer to_gates = {answer, broker};
	struct data_plane *data_plane = &broker->data_plane;
	size_t n;
	const struct ipv4 *followed = follow_present(broker->follow, &n);
	int error = data_plane_find(data_plane, broker->config, followed, n,
		&broker->credentials.private_key, &to_gates);

	if (error == 0)
		error = open_listeners(broker);

	if (error == 0)
		error = privileges_give_up(data_plane_starts_processes(data_plane));
	if (error == 0)
		error = host_setup(data_plane, broker->base, &broker->host);
	data_plane->name_rules.host = broker->host;
	if (error == 0)
		error = data_plane_open(data_plane, broker->base);
	/* What was promised at an address that comes later is kept when it comes. */
	if (!broker->follow && !broker->config->is_reloaded)
		promised_free(&broker->store.promised);
	return error < 0 ? error
			 : device_watch_new(broker->base, data_plane, &broker->config->idle,
				   &broker->device_watch);
}

static void announce(void *context)
{
	struct broker *broker = context;
	const struct server_config *config = broker->config;

	reporter_new(broker->base, config, &broker->gate_settings.config, &broker->reporter);
	reporter_update(broker->reporter, &broker->data_plane);
	notify_service_manager("READY=1");
	if (broker->listeners.n > 0)
		log_info("ready");
	else if (config->n_followed == 0)
		log_info("ready, waiting for an address of the cloud's");
	else
		log_info("ready, waiting for an address inside %s%s",
			prefix_text(config->followed[0]).s,
			config->n_followed > 1 ? " or another --follow" : "");
}

static struct serving serving_of(struct broker *broker)
{
	return (struct serving){
		.data_plane = &broker->data_plane,
		.host = broker->host,
		.listeners = &broker->listeners,
		.listener_store = &broker->listener_store,
		.supervisor = broker->supervisor,
	};
}

static int on_address_gained(void *context, struct ipv4 bind)
{
	struct broker *broker = context;
	const struct serving serving = serving_of(broker);
	int error = store_setup_gain(
		&broker->store, bind, data_plane_is_ready(&broker->data_plane, bind));

	if (error == 0)
		error = serving_begin(&serving, bind);
	if (error == 0)
		store_setup_kept(&broker->store, bind);
	reporter_update(broker->reporter, &broker->data_plane);
	return error;
}

static void on_address_lost(void *context, struct ipv4 bind)
{
	struct broker *broker = context;
	const struct serving serving = serving_of(broker);

	serving_end(&serving, bind);
	reporter_update(broker->reporter, &broker->data_plane);
	if (store_setup_lose(&broker->store, bind))
		serving_forget(&serving, bind);
}

/* What comes so late that the address is served already is made up for. */
static void on_claimed(void *context, struct ipv4 bind)
{
	struct broker *broker = context;

	if (data_plane_keep_promises(&broker->data_plane, bind))
		store_setup_kept(&broker->store, bind);
	else
		follow_go_on(broker->follow, bind);
}

/* Where the host has the address there is nothing to be ready for. */
static bool on_followed(void *context, struct ipv4 bind, bool is_all, bool is_coming)
{
	struct broker *broker = context;
	const struct serving serving = serving_of(broker);
	const bool may_open =
		is_all && !is_coming && !broker->draining && !follow_has(broker->follow, bind);

	return serving_stand_by(&serving, bind, is_all, may_open);
}

static bool has_address(void *context, struct ipv4 bind)
{
	const struct broker *broker = context;

	return follow_has(broker->follow, bind);
}

static void on_superseded(void *context, struct ipv4 bind)
{
	struct broker *broker = context;
	const struct serving serving = serving_of(broker);

	data_plane_forsake(&broker->data_plane, bind);
	serving_end(&serving, bind);
	reporter_update(broker->reporter, &broker->data_plane);
	serving_forget(&serving, bind);
	follow_yield(broker->follow, bind);
}

static void on_cloud_changed(void *context, const struct ipv4 *addresses, size_t n)
{
	struct broker *broker = context;

	follow_name(broker->follow, addresses, n);
}

/* Logs. */
static int ask_cloud(struct broker *broker)
{
	const struct cloud_watch_config config = {
		.config = broker->config,
		.gates = &broker->gate_settings.config,
		.changed = on_cloud_changed,
		.context = broker,
	};

	return broker->config->is_cloud ? cloud_watch_new(broker->base, &config, &broker->cloud)
					: 0;
}

static int find_followed(struct broker *broker)
{
	struct follow_config config = {
		.config = broker->config,
		.begin = on_address_gained,
		.end = on_address_lost,
		.context = broker,
	};

	config.named = cloud_watch_addresses(broker->cloud, &config.n_named);
	return server_config_expects_any(broker->config)
		       ? follow_new(broker->base, &config, &broker->follow)
		       : 0;
}

static void on_follow_changed(void *context)
{
	struct broker *broker = context;
	int error;

	if (broker->follow) {
		follow_look_again(broker->follow);
		return;
	}
	error = find_followed(broker);
	if (error == 0 && broker->follow)
		error = follow_start(broker->follow);
	if (error < 0) {
		follow_free(broker->follow);
		broker->follow = NULL;
	}
}

static void on_pace_changed(void *context)
{
	struct broker *broker = context;
	const struct timeval interval = timeval_from_ms(broker->config->reap_interval_ms);

	event_add(broker->inspect, &interval);
}

static void on_hangup(evutil_socket_t signal, short what, void *context);

/* Each change of the configuration is in force before the next one is read. */
static void on_all_in_force(void *context)
{
	struct broker *broker = context;
	const bool is_hung_up_again = broker->is_hung_up_again;

	if (!broker->changes)
		return;
	reload_say(broker->changes);
	broker->changes = NULL;
	broker->is_hung_up_again = false;
	if (is_hung_up_again)
		on_hangup(SIGHUP, EV_SIGNAL, broker);
}

static void on_reloaded(void *context, const char *changes)
{
	struct broker *broker = context;

	broker->changes = changes;
	if (!destinations_round_runs(&broker->reach))
		on_all_in_force(broker);
}

static void on_hangup(evutil_socket_t signal, short what, void *context)
{
	struct broker *broker = context;

	audit_reopen(broker->audit);
	flow_link_reopen(broker->flow_link);
	if (broker->changes) {
		if (!broker->is_hung_up_again)
			log_info("the configuration is read again as soon as the last change is in "
				 "force for all tunnels");
		broker->is_hung_up_again = true;
		return;
	}
	const struct serving serving = serving_of(broker);
	const struct reload reload = {
		.source = broker->source,
		.config = broker->config,
		.serving = &serving,
		.follow = on_follow_changed,
		.pace = on_pace_changed,
		.names = on_names_changed,
		.end = on_reloaded,
		.context = broker,
	};

	if (!broker->draining && reload_configuration(&reload) == -EALREADY)
		on_signal(signal, what, context);
	reporter_update(broker->reporter, &broker->data_plane);
}

static bool is_ours(void *context, struct ipv4 bind)
{
	const struct broker *broker = context;

	return data_plane_endpoint(&broker->data_plane, bind) != NULL;
}

static void on_signer_socket(void *context, unsigned int gate, int fd)
{
	struct broker *broker = context;

	gate_supervisor_give_signer(broker->supervisor, gate, fd);
}

static void on_gate_dropped(void *context, unsigned int gate, int error)
{
	struct broker *broker = context;

	gate_supervisor_drop(broker->supervisor, gate, error);
}

static void on_gate_started(void *context, unsigned int gate)
{
	struct broker *broker = context;

	signer_supervisor_connect(broker->signers, gate);
}

static void on_fetch_keys(void *context, unsigned int issuer)
{
	struct broker *broker = context;

	if (broker->issuers)
		issuer_supervisor_fetch(broker->issuers, issuer);
}

static int start_issuers(struct broker *broker)
{
	struct issuer_supervisor_config config = {
		.issuers = broker->config->issuers,
		.n = broker->config->n_issuers,
		.authorities = broker->config->issuer_authorities,
	};

	if (config.n == 0)
		return 0;
	gate_setup_describe_fetcher(
		&config.settings, broker->config, &broker->gate_settings.config);
	return issuer_supervisor_new(broker->base, &config, &broker->issuers);
}

static int start_signers(struct broker *broker)
{
	struct signer_supervisor_config config = {
		.n_gates = broker->config->n_gates,
		.key_is_fast = broker->credentials.identity.key_is_fast,
		.key_fd = broker->credentials.identity.key_fd,
		.on_socket = on_signer_socket,
		.on_dropped = on_gate_dropped,
		.context = broker,
	};

	gate_setup_describe_signer(&config.settings, broker->config, &broker->gate_settings.config);
	return signer_supervisor_new(broker->base, &config, &broker->signers);
}

static int start_gates(struct broker *broker)
{
	const int tokens = broker->config->tokens ? token_set_write(broker->config->tokens) : -1;
	const struct gate_supervisor_config config = {
		.tokens = tokens,
		.n_gates = broker->config->n_gates,
		.settings = &broker->gate_settings,
		.listeners = broker->gate_listeners,
		.port = CONTROL_PORT,
		.is_ours = is_ours,
		.issuers_fd = broker->issuers
				      ? issuer_sheet_fd(issuer_supervisor_sheet(broker->issuers))
				      : -1,
		.on_fetch_keys = on_fetch_keys,
		.on_request = on_request,
		.on_refused = on_refused,
		.on_gate_ended = on_gate_ended,
		.on_started = on_gate_started,
		.on_ready = announce,
		.on_drained = stop_draining,
		.context = broker,
	};
	int error = tokens < 0 && broker->config->tokens ? tokens : 0;

	if (error < 0)
		log_error("cannot hand out the tokens: %s", strerror(-error));
	else
		error = gate_supervisor_new(broker->base, &config, &broker->supervisor);
	if (error == 0)
		watch_names(broker);
	return error < 0 || !broker->follow ? error : follow_start(broker->follow);
}

/* Devices are endpoints', and these are reported by themselves. */
static void describe_others(const struct broker *broker, struct snapshot_source *source)
{
	const struct holder_link *holder = broker->listener_store.holder;

	snapshot_add(source, "metrics", metrics_link_process(broker->metrics));
	snapshot_add(source, "flows", flow_link_process(broker->flow_link));
	snapshot_add(source, "cloud", cloud_watch_process(broker->cloud));
	snapshot_add(source, "reporter", reporter_process(broker->reporter));
	for (unsigned int i = 0; i < ISSUERS_MAX; i++)
		snapshot_add(source, "oidc", issuer_supervisor_process(broker->issuers, i));
	if (holder)
		snapshot_add_process(source, "holder", holder_link_process(holder));
}

static int report(void *context, enum report_extent extent, struct evbuffer *out)
{
	struct broker *broker = context;
	struct snapshot_source source = {
		.data_plane = &broker->data_plane,
		.supervisor = broker->supervisor,
		.signers = broker->signers,
		.store = broker->store.link,
		.n_gates = broker->config->n_gates,
		.host = broker->host,
		.pin = broker->credentials.identity.pin,
		.started_ms = broker->started_ms,
		.started_wall_ms = broker->started_wall_ms,
		.is_draining = broker->draining,
		.audit = broker->audit,
		.flow_link = broker->flow_link,
	};

	describe_others(broker, &source);
	return snapshot_write(&source, extent, out);
}

static int report_with_peers(
	void *context, enum report_extent extent, struct evbuffer *out, struct peer_listing **peers)
{
	const struct broker *broker = context;
	int error = report(context, extent, out);

	if (error < 0 || extent != REPORT_ALL)
		return error;
	*peers = peer_listing_new(&broker->data_plane);
	return *peers ? 0 : -ENOMEM;
}

static int disconnect(void *context, const struct disconnect_order *order, uint64_t number)
{
	struct broker *broker = context;

	return disconnections_begin(&broker->disconnections, order, number);
}

static void tell_operator(void *context, uint64_t number, const struct disconnect_state *state)
{
	struct broker *broker = context;

	control_socket_tell(broker->control, number, state);
}

/* Without it nobody could see into the server, but it serves all the same. */
static void open_control_socket(struct broker *broker)
{
	const struct control_socket_config config = {
		.path = REPORT_SOCKET,
		.deadline_ms = CONTROL_DEADLINE_MS,
		.still_ms = CONTROL_STILL_MS,
		.answer = report_with_peers,
		.disconnect = disconnect,
		.context = broker,
	};
	int error;

	broker->disconnections = (struct disconnections){
		.data_plane = &broker->data_plane,
		.clock = &system_clock,
		.base = broker->base,
		.tell = tell_operator,
		.context = broker,
	};
	error = control_socket_open(broker->base, &config, &broker->control);

	if (error < 0)
		log_error("`vprox show` will not work: cannot listen on %s: %s", REPORT_SOCKET,
			strerror(-error));
}

/* Likewise. */
static void start_metrics(struct broker *broker)
{
	const struct server_config *config = broker->config;
	struct metrics_link_config metrics = {
		.text = config->metrics,
		.address = (const struct sockaddr *)&config->metrics_address,
		.address_length = (socklen_t)config->metrics_address_length,
		.log_level = config->log_level,
		.log_format = config->log_format,
		.report = report,
		.context = broker,
	};

	if (!config->metrics)
		return;
	gate_setup_choose_user(
		metrics_user, &broker->gate_settings.config, &metrics.user, &metrics.group);
	if (metrics_link_new(broker->base, &metrics, &broker->metrics) < 0)
		log_error("metrics are not served: %s", strerror(ENOMEM));
}

static int open_flow_log(struct broker *broker)
{
	const struct server_config *config = broker->config;
	struct flow_link_config flows = {
		.path = config->flow_log,
		.block = config->whole_block,
		.log_level = config->log_level,
		.log_format = config->log_format,
	};

	gate_setup_choose_user(
		flows_user, &broker->gate_settings.config, &flows.user, &flows.group);
	return flow_link_open(
		broker->base, &flows, &broker->data_plane.endpoints, &broker->flow_link);
}

static int add_events(struct broker *broker)
{
	static const struct {
		int signal;
		event_callback_fn on_signal;
	} signals[] = {{SIGTERM, on_signal}, {SIGINT, on_signal}, {SIGHUP, on_hangup}};
	struct timeval interval = timeval_from_ms(broker->config->reap_interval_ms);
	bool ok = true;

	for (size_t i = 0; i < sizeof signals / sizeof *signals && ok; i++) {
		if (signals[i].signal == SIGHUP && signals_is_ignored(SIGHUP))
			continue; /* under nohup(1) */
		broker->signals[i] =
			evsignal_new(broker->base, signals[i].signal, signals[i].on_signal, broker);
		ok = broker->signals[i] && event_add(broker->signals[i], NULL) == 0;
	}
	broker->inspect = event_new(broker->base, -1, EV_PERSIST, on_inspect, broker);
	broker->drain_timeout = evtimer_new(broker->base, on_drain_timeout, broker);
	broker->log_timer = log_timer_new(broker->base);
	broker->names = evtimer_new(broker->base, on_names, broker);
	if (!ok || !broker->inspect || !broker->drain_timeout || !broker->log_timer ||
		!broker->names || event_add(broker->inspect, &interval) < 0) {
		log_error("cannot set up the event loop");
		return -ENOMEM;
	}
	return 0;
}

static void promise_all(void *context)
{
	struct broker *broker = context;

	promise_round_begin(&broker->promising);
}

static void on_all_promised(void *context)
{
	struct broker *broker = context;

	store_setup_all_is_ordered(&broker->store);
}

static void forsake(void *context, struct ipv4 bind)
{
	struct broker *broker = context;

	data_plane_forsake(&broker->data_plane, bind);
}

/* Each gate has others to shake hands with, whose orders come soon. */
static bool more_come(void *context, size_t n_ordered)
{
	const struct broker *broker = context;

	return broker->supervisor && gate_supervisor_waiting(broker->supervisor) >=
					     n_ordered + BUSY_GATE * broker->config->n_gates;
}

static int open_store(struct broker *broker)
{
	size_t n;
	const struct ipv4 *followed = follow_present(broker->follow, &n);

	broker->store.order_all = promise_all;
	broker->store.forsake = forsake;
	broker->store.has_address = has_address;
	broker->store.superseded = on_superseded;
	broker->store.claimed = on_claimed;
	broker->store.followed = on_followed;
	broker->store.more_come = more_come;
	broker->store.context = broker;
	broker->data_plane.store = &broker->store;
	broker->data_plane.audit = broker->audit;
	broker->data_plane.owner_feed = flow_link_owners(broker->flow_link);
	return store_setup_open(&broker->store, broker->base, broker->config,
		&broker->gate_settings.config, followed, n, answer);
}

static int load_credentials(struct broker *broker)
{
	struct key promised = {{0}};
	bool is_promised = store_setup_find_key(&broker->store, &promised);
	int error = credentials_load(
		&broker->credentials, broker->config, is_promised ? &promised : NULL);

	key_wipe(&promised);
	return error;
}

static void start_listener_store(struct broker *broker)
{
	uint32_t user = 0, group = 0;

	if (listener_store_has_holder(&broker->listener_store))
		gate_setup_choose_user(holder_user, &broker->gate_settings.config, &user, &group);
	listener_store_start(&broker->listener_store, broker->base, user, group);
}

static int start(struct broker *broker)
{
	/* From here on a signal waits until the start is through, and then ends the server in
	 * order, or has the configuration read again. */
	int error = add_events(broker);

	log_info("vprox %s (%s) starts", version_number, version_git_commit);
	if (error == 0)
		error = gate_setup_find_user(broker->config, &broker->gate_settings.config);
	if (error == 0)
		error = rights_check(changes_user(&broker->gate_settings.config));
	listener_store_open(&broker->listener_store);
	if (error == 0)
		error = take_lock(broker);
	if (error == 0)
		start_listener_store(broker);
	if (error == 0 && broker->config->audit)
		error = audit_open(broker->config->audit, broker->base, &broker->audit);
	if (error == 0 && broker->config->flow_log)
		error = open_flow_log(broker);
	if (error == 0)
		error = ask_cloud(broker);
	if (error == 0)
		error = find_followed(broker);
	if (error == 0)
		error = promise_round_init(&broker->promising, broker->base,
			&broker->data_plane.endpoints, on_all_promised, broker);
	if (error == 0)
		error = open_store(broker);
	if (error == 0)
		error = load_credentials(broker);
	/* Without them nobody could be let in, and so nothing is touched. */
	if (error == 0)
		error = start_issuers(broker);
	if (error == 0)
		error = open_data_plane(broker);
	if (error == 0)
		error = destinations_round_init(&broker->reach, broker->base,
			&broker->data_plane.name_rules, on_all_in_force, broker);
	if (error < 0)
		return error;
	open_control_socket(broker);
	start_metrics(broker);
	flow_link_start(broker->flow_link);
	error = start_signers(broker);
	return error < 0 ? error : start_gates(broker);
}

static void free_memory(struct broker *broker)
{
	for (size_t i = 0; i < sizeof broker->signals / sizeof *broker->signals; i++)
		free_event(broker->signals[i]);
	free_event(broker->inspect);
	free_event(broker->drain_timeout);
	free_event(broker->log_timer);
	free_event(broker->names);
	listener_store_close(&broker->listener_store);
	audit_close(broker->audit);
	if (broker->base)
		event_base_free(broker->base);
	free(broker->gate_settings.endpoints);
	free(broker->gate_listeners);
	data_plane_free(&broker->data_plane);
	listeners_close(&broker->listeners);
	credentials_free(&broker->credentials);
	if (broker->lock >= 0)
		close(broker->lock);
}

/* Undoes the start, whichever of its steps was the last. The firewall goes after the tunnels
 * it guards. */
static int stop(struct broker *broker, bool started)
{
	int error, result;

	if (!started)
		stop_listening(broker);
	control_socket_close(broker->control);
	broker->control = NULL;
	disconnections_free(&broker->disconnections);
	metrics_link_free(broker->metrics);
	cloud_watch_free(broker->cloud, false);
	follow_free(broker->follow);
	reporter_free(broker->reporter);
	gate_supervisor_free(broker->supervisor);
	broker->supervisor = NULL;
	signer_supervisor_free(broker->signers);
	issuer_supervisor_free(broker->issuers);
	device_watch_free(broker->device_watch);
	destinations_round_free(&broker->reach);
	promise_round_finish(&broker->promising);
	promise_round_free(&broker->promising);
	data_plane_decide_what_stays(&broker->data_plane, started);
	result = data_plane_close(&broker->data_plane);
	flow_link_free(broker->flow_link);
	store_setup_close(&broker->store);
	error = host_setup_undo(broker->host, &broker->data_plane, started);
	free_memory(broker);
	return result < 0 ? result : error;
}

/* Where something of a megabyte was freed once, such as others' rulesets, malloc(3) takes large
 * tables from the heap from then on, and writes to all of them: those of a pool, of which little is
 * used, are to stay pages that nobody has touched. */
static void keep_large_tables_apart(void)
{
#ifdef __GLIBC__
	mallopt(M_MMAP_THRESHOLD, LARGE_TABLE_SIZE);
#endif
}

int broker_run(struct server_config *config, const struct config_source *source)
{
	struct broker broker = {.config = config,
		.source = source,
		.lock = -1,
		.listener_store = {.manager = -1, .earlier.fd = -1},
		.credentials.identity.key_fd = -1,
		.started_ms = clock_now_ms(&system_clock),
		.started_wall_ms = clock_wall_ns() / NS_PER_MS};
	int error, stop_error;

	/* The reader of the log may go; the tunnels must not go with it. */
	signal(SIGPIPE, SIG_IGN);
	/* A limit on the size of files is an error that can be told; the log may be the first. */
	signal(SIGXFSZ, SIG_IGN);
	/* Whoever started us may have it ignored, and then no program's end could be waited for. */
	signal(SIGCHLD, SIG_DFL);
	keep_large_tables_apart();
	privileges_raise_files(config);
	log_open();
	broker.base = event_base_new();
	if (!broker.base) {
		log_error("cannot make an event loop");
		return -ENOMEM;
	}
	error = start(&broker);
	if (error == 0)
		event_base_dispatch(broker.base);
	stop_error = stop(&broker, error == 0);
	if (error == 0 && stop_error == 0)
		log_info("stopped");
	return error < 0 ? error : stop_error;
}
