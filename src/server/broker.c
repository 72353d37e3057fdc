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
#include "base/signals.h"
#include "base/version.h"
#include "host/host.h"
#include "server/address_changes.h"
#include "server/audit.h"
#include "server/cloud_watch.h"
#include "server/config.h"
#include "server/credentials.h"
#include "server/data_plane.h"
#include "server/destinations.h"
#include "server/device_watch.h"
#include "server/flow_link.h"
#include "server/frontend.h"
#include "server/gate_setup.h"
#include "server/gate_supervisor.h"
#include "server/holder_link.h"
#include "server/host_setup.h"
#include "server/initial_endpoints.h"
#include "server/inspection.h"
#include "server/issuer_supervisor.h"
#include "server/lock.h"
#include "server/management.h"
#include "server/peer_events.h"
#include "server/privileges.h"
#include "server/promise_round.h"
#include "server/reload.h"
#include "server/reporter.h"
#include "server/serving.h"
#include "server/signer_supervisor.h"
#include "server/snapshot.h"
#include "server/store_setup.h"

static const char flows_user[] = "vprox-flows";

enum { NS_PER_MS = 1000 * 1000 };

enum {
	LARGE_TABLE_SIZE = 128 * 1024, /* as malloc(3) has it at first */
};

struct broker {
	struct server_config *config;
	const struct config_source *source;
	int lock;
	struct credentials credentials;
	struct frontend frontend;
	struct store_setup store;
	struct audit *audit; /* NULL without --audit */
	struct flow_link *flow_link; /* NULL without --flow-log */
	struct data_plane data_plane;
	struct serving serving;
	struct device_watch *device_watch;

	struct event_base *base;
	struct address_changes addresses;
	struct management management;
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
	address_changes_end(&broker->addresses, !broker->config->keep_on_exit);
	event_add(broker->drain_timeout, &timeout);
	frontend_drain(&broker->frontend, broker->config->keep_on_exit);
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
		disconnections_answer(&broker->management.disconnections, to->id, status);
	else
		gate_supervisor_answer(broker->frontend.supervisor, to, status, address);
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

/* The host is made ready first: the firewall must be there before the first packet. */
static int open_data_plane(struct broker *broker)
{
	const struct data_plane_answer to_gates = {answer, broker};
	struct data_plane *data_plane = &broker->data_plane;
	size_t n;
	const struct ipv4 *followed = address_changes_present(&broker->addresses, &n);
	int error = data_plane_init(
		data_plane, broker->config, &broker->credentials.private_key, &to_gates);

	if (error == 0)
		error = initial_endpoints_describe(data_plane, followed, n);
	if (error == 0)
		error = frontend_open_listeners(&broker->frontend);

	if (error == 0)
		error = privileges_give_up(data_plane_starts_processes(data_plane));
	if (error == 0)
		error = host_setup(data_plane, broker->base, &broker->serving.host);
	data_plane->name_rules.host = broker->serving.host;
	if (error == 0)
		error = data_plane_open(data_plane, broker->base);
	/* What was promised at an address that comes later is kept when it comes. */
	if (!broker->addresses.follow && !broker->config->is_reloaded)
		promised_free(&broker->store.promised);
	return error < 0 ? error
			 : device_watch_new(broker->base, data_plane, &broker->config->idle,
				   &broker->device_watch);
}

static void announce(void *context)
{
	struct broker *broker = context;
	const struct server_config *config = broker->config;

	address_changes_start_report(&broker->addresses);
	notify_service_manager("READY=1");
	if (broker->frontend.listeners.n > 0)
		log_info("ready");
	else if (config->n_followed == 0)
		log_info("ready, waiting for an address of the cloud's");
	else
		log_info("ready, waiting for an address inside %s%s",
			prefix_text(config->followed[0]).s,
			config->n_followed > 1 ? " or another --follow" : "");
}

static void on_follow_changed(void *context)
{
	struct broker *broker = context;

	address_changes_look_again(&broker->addresses);
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
	const struct reload reload = {
		.source = broker->source,
		.config = broker->config,
		.serving = &broker->serving,
		.follow = on_follow_changed,
		.pace = on_pace_changed,
		.names = on_names_changed,
		.end = on_reloaded,
		.context = broker,
	};

	if (!broker->draining && reload_configuration(&reload) == -EALREADY)
		on_signal(signal, what, context);
	address_changes_report(&broker->addresses);
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
		flows_user, &broker->frontend.settings.config, &flows.user, &flows.group);
	return flow_link_open(
		broker->base, &flows, &broker->data_plane.endpoints, &broker->flow_link);
}

/* Devices are endpoints', and these are reported by themselves. */
static void describe_others(const struct broker *broker, struct snapshot_source *source)
{
	const struct holder_link *holder = broker->frontend.listener_store.holder;

	snapshot_add(source, "flows", flow_link_process(broker->flow_link));
	snapshot_add(source, "cloud", cloud_watch_process(broker->addresses.cloud));
	snapshot_add(source, "reporter", reporter_process(broker->addresses.reporter));
	for (unsigned int i = 0; i < ISSUERS_MAX; i++)
		snapshot_add(
			source, "oidc", issuer_supervisor_process(broker->frontend.issuers, i));
	if (holder)
		snapshot_add_process(source, "holder", holder_link_process(holder));
}

static void describe(void *context, struct snapshot_source *source)
{
	const struct broker *broker = context;

	source->supervisor = broker->frontend.supervisor;
	source->signers = broker->frontend.signers;
	source->store = broker->store.link;
	source->n_gates = broker->config->n_gates;
	source->host = broker->serving.host;
	source->pin = broker->credentials.identity.pin;
	source->started_ms = broker->started_ms;
	source->started_wall_ms = broker->started_wall_ms;
	source->is_draining = broker->draining;
	source->audit = broker->audit;
	source->flow_link = broker->flow_link;
	describe_others(broker, source);
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

static bool more_come(void *context, size_t n_ordered)
{
	const struct broker *broker = context;

	return frontend_is_busy(&broker->frontend, n_ordered);
}

static int open_store(struct broker *broker)
{
	size_t n;
	const struct ipv4 *followed = address_changes_present(&broker->addresses, &n);

	broker->store.order_all = promise_all;
	broker->store.forsake = forsake;
	broker->store.more_come = more_come;
	broker->store.addresses = address_changes_of_store(&broker->addresses);
	broker->store.context = broker;
	broker->data_plane.store = &broker->store;
	broker->data_plane.audit = broker->audit;
	broker->data_plane.owner_feed = flow_link_owners(broker->flow_link);
	return store_setup_open(&broker->store, broker->base, broker->config,
		&broker->frontend.settings.config, followed, n, answer);
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

static int start(struct broker *broker)
{
	/* From here on a signal waits until the start is through, and then ends the server in
	 * order, or has the configuration read again. */
	int error = add_events(broker);

	log_info("vprox %s (%s) starts", version_number, version_git_commit);
	if (error == 0)
		error = frontend_find_user(&broker->frontend);
	listener_store_open(&broker->frontend.listener_store);
	if (error == 0)
		error = take_lock(broker);
	if (error == 0)
		frontend_start_store(&broker->frontend, broker->base);
	if (error == 0 && broker->config->audit)
		error = audit_open(broker->config->audit, broker->base, &broker->audit);
	if (error == 0 && broker->config->flow_log)
		error = open_flow_log(broker);
	if (error == 0)
		error = address_changes_find(&broker->addresses);
	if (error == 0)
		error = promise_round_init(&broker->promising, broker->base,
			&broker->data_plane.endpoints, on_all_promised, broker);
	if (error == 0)
		error = open_store(broker);
	if (error == 0)
		error = load_credentials(broker);
	/* Without them nobody could be let in, and so nothing is touched. */
	if (error == 0)
		error = frontend_start_issuers(&broker->frontend, broker->base);
	if (error == 0)
		error = open_data_plane(broker);
	if (error == 0)
		error = destinations_round_init(&broker->reach, broker->base,
			&broker->data_plane.name_rules, on_all_in_force, broker);
	if (error < 0)
		return error;
	management_open(&broker->management, broker->base);
	flow_link_start(broker->flow_link);
	error = frontend_start(&broker->frontend, broker->base);
	if (error == 0)
		watch_names(broker);
	return error < 0 ? error : address_changes_start(&broker->addresses);
}

static void free_memory(struct broker *broker)
{
	for (size_t i = 0; i < sizeof broker->signals / sizeof *broker->signals; i++)
		free_event(broker->signals[i]);
	free_event(broker->inspect);
	free_event(broker->drain_timeout);
	free_event(broker->log_timer);
	free_event(broker->names);
	frontend_free(&broker->frontend);
	audit_close(broker->audit);
	if (broker->base)
		event_base_free(broker->base);
	data_plane_free(&broker->data_plane);
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
		frontend_stop_listening(&broker->frontend);
	management_close(&broker->management);
	address_changes_end(&broker->addresses, false);
	frontend_stop(&broker->frontend);
	device_watch_free(broker->device_watch);
	destinations_round_free(&broker->reach);
	promise_round_finish(&broker->promising);
	promise_round_free(&broker->promising);
	data_plane_decide_what_stays(&broker->data_plane, started);
	result = data_plane_close(&broker->data_plane);
	flow_link_free(broker->flow_link);
	store_setup_close(&broker->store);
	error = host_setup_undo(broker->serving.host, &broker->data_plane, started);
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
		.frontend = {.config = config,
			.identity = &broker.credentials.identity,
			.data_plane = &broker.data_plane,
			.on_ready = announce,
			.on_drained = stop_draining,
			.context = &broker,
			.listener_store = {.manager = -1, .earlier.fd = -1}},
		.serving = {.data_plane = &broker.data_plane, .frontend = &broker.frontend},
		.addresses = {.config = config,
			.gates = &broker.frontend.settings.config,
			.serving = &broker.serving,
			.store = &broker.store},
		.management = {.config = config,
			.gates = &broker.frontend.settings.config,
			.data_plane = &broker.data_plane,
			.describe = describe,
			.context = &broker},
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
	broker.addresses.base = broker.base;
	error = start(&broker);
	if (error == 0)
		event_base_dispatch(broker.base);
	stop_error = stop(&broker, error == 0);
	if (error == 0 && stop_error == 0)
		log_info("stopped");
	return error < 0 ? error : stop_error;
}
