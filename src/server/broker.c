#include "server/broker.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/resource.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/key_file.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/version.h"
#include "server/assignment.h"
#include "server/config.h"
#include "server/endpoint.h"
#include "server/gatekeeper.h"
#include "server/host.h"
#include "server/identity.h"
#include "server/listener.h"
#include "server/lock.h"
#include "server/reaper.h"

static const char lock_path[] = RUN_FOLDER "/lock";
static const char server_key_path[] = RUN_FOLDER "/server-key";

enum {
	MAX_TRACES = 4 * MAX_BINDS, /* of earlier servers; more than any host has had */
};

struct broker {
	const struct server_config *config;
	int lock;
	struct key private_key;
	struct identity identity;
	int *listeners;
	struct plane *plane;
	struct host *host;
	struct endpoint *endpoints; /* in the order of the configuration */
	struct assignment *assignments;
	size_t n_open; /* endpoints that endpoint_open() was called for */

	struct event_base *base;
	uid_t user; /* of the gates */
	gid_t group;
	struct gate_settings gate_settings;
	struct gatekeeper *gatekeeper;
	struct event *stop_signals[3]; /* SIGTERM, SIGINT, SIGHUP */
	struct event *reap, *drain_timeout;
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

static void close_listeners(struct broker *broker)
{
	for (size_t i = 0; broker->listeners && i < broker->config->n_binds; i++) {
		if (broker->listeners[i] >= 0)
			close(broker->listeners[i]);
		broker->listeners[i] = -1;
	}
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
	close_listeners(broker);
	event_add(broker->drain_timeout, &timeout);
	gatekeeper_drain(broker->gatekeeper);
}

static void on_reap(evutil_socket_t fd, short what, void *context)
{
	struct broker *broker = context;

	(void)fd;
	(void)what;
	for (size_t i = 0; i < broker->config->n_binds; i++)
		reaper_look(&broker->endpoints[i], &broker->config->idle);
}

static void answer(
	void *context, const struct reply_to *to, enum ipc_status status, struct ipv4 address)
{
	struct broker *broker = context;

	gatekeeper_answer(broker->gatekeeper, to, status, address);
}

/* Whether a tunnel to this address could work; a gate that was taken over could ask for any. */
static bool is_possible_client(const struct broker *broker, struct ipv4 address)
{
	const uint32_t first_octet = address.value >> 24;

	for (size_t i = 0; i < broker->config->n_binds; i++)
		if (ipv4_equal(broker->config->binds[i], address))
			return false;
	return first_octet != 0 && first_octet != 127 && first_octet < 224 &&
	       !prefix_contains(broker->config->whole_block, address);
}

static void on_request(
	void *context, const struct ipc_request *request, const struct reply_to *reply_to)
{
	struct broker *broker = context;
	struct endpoint *endpoint = &broker->endpoints[request->endpoint];

	if (request->operation == IPC_CONNECT_IPIP &&
		!is_possible_client(broker, request->source)) {
		log_warning("%s: no IPIP tunnel is possible to %s", endpoint_text(endpoint).s,
			ipv4_text(request->source).s);
		answer(broker, reply_to, IPC_FAILED, (struct ipv4){0});
		return;
	}
	endpoint_handle(endpoint, request, reply_to);
}

static int check_rights(void)
{
	cap_t capabilities = cap_get_proc();
	cap_flag_value_t has = CAP_CLEAR;

	if (capabilities)
		cap_get_flag(capabilities, CAP_NET_ADMIN, CAP_EFFECTIVE, &has);
	cap_free(capabilities);
	if (has == CAP_SET)
		return 0;
	log_error("this needs the right to administer the network (CAP_NET_ADMIN): run it as root");
	return -EPERM;
}

/* The gates' user: the one asked for, else vprox, else nobody. */
static int find_user(struct broker *broker)
{
	const struct server_config *config = broker->config;
	const char *name = config->user ? config->user : "vprox";
	const struct passwd *user = getpwnam(name);

	if (!user && !config->user) {
		name = "nobody";
		user = getpwnam(name);
	}
	if (!user) {
		log_error("--user %s: there is no such user", name);
		return -ENOENT;
	}
	if (user->pw_uid == 0 || user->pw_gid == 0) {
		log_error("--user %s: must have no rights", name);
		return -EINVAL;
	}
	broker->user = user->pw_uid;
	broker->group = user->pw_gid;
	return 0;
}

/* Of the connections in all. Those of one source are not divided: the gates take them as they come,
 * not in turn. */
static int take_lock(struct broker *broker)
{
	broker->lock = lock_take(lock_path);
	if (broker->lock >= 0)
		return 0;
	if (broker->lock == -EWOULDBLOCK)
		log_error("another vprox server runs on this host: it holds %s", lock_path);
	else
		log_error("cannot take the lock %s: %s", lock_path, strerror(-broker->lock));
	return broker->lock;
}

static int load_keys(struct broker *broker)
{
	const struct server_config *config = broker->config;
	int error = key_file_load_or_create(server_key_path, &broker->private_key);

	if (error < 0) {
		log_error("cannot use the WireGuard key %s: %s", server_key_path,
			error == -EINVAL ? "it is no key; remove it to have a new one made"
					 : strerror(-error));
		return error;
	}
	error = identity_load(&broker->identity, config->tls_certificate, config->tls_key,
		config->binds, config->n_binds);
	if (error == 0)
		log_info("TLS public key: %s", broker->identity.pin);
	return error;
}

static int open_listeners(struct broker *broker)
{
	const struct server_config *config = broker->config;

	broker->listeners = malloc(config->n_binds * sizeof(*broker->listeners));
	if (!broker->listeners)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_binds; i++)
		broker->listeners[i] = -1;
	for (size_t i = 0; i < config->n_binds; i++) {
		int fd = listener_open(config->binds[i], CONTROL_PORT);

		if (fd < 0) {
			log_error("cannot listen on %s, TCP port %d: %s%s",
				ipv4_text(config->binds[i]).s, CONTROL_PORT, strerror(-fd),
				fd == -EADDRINUSE ? " by another program" : "");
			return fd;
		}
		broker->listeners[i] = fd;
	}
	return 0;
}

/* Takes a plane if this host can do it. */
static int try_plane(struct broker *broker, struct plane *plane)
{
	int error = plane ? plane->ops->probe(plane) : -errno;

	broker->plane = plane;
	if (!plane)
		log_error("cannot talk to the kernel: %s", strerror(-error));
	return error;
}

static int choose_plane(struct broker *broker)
{
	enum plane_choice choice = broker->config->plane;
	int error = try_plane(
		broker, choice == PLANE_EMBEDDED ? plane_embedded_new() : plane_kernel_new());

	if (error == -EOPNOTSUPP && choice == PLANE_AUTO) {
		log_info("not the kernel's data plane: %s", plane_error(broker->plane));
		broker->plane->ops->free(broker->plane);
		error = try_plane(broker, plane_embedded_new());
	}
	if (error < 0) {
		if (broker->plane)
			log_error("no data plane: %s", plane_error(broker->plane));
		return error;
	}
	log_info("data plane: %s", broker->plane->ops->name);
	return 0;
}

struct survey {
	struct plane_trace *traces;
	size_t n_traces;
};

static int note_trace(void *context, const struct plane_trace *trace)
{
	struct survey *survey = context;

	if (survey->n_traces == MAX_TRACES)
		return -E2BIG;
	survey->traces[survey->n_traces++] = *trace;
	return 0;
}

static const char *why_stale(const struct server_config *config, const struct plane_trace *trace)
{
	for (size_t i = 0; trace->has_bind && i < config->n_binds; i++)
		if (ipv4_equal(config->binds[i], trace->bind))
			return "that address has another interface, or --wg-block has no such "
			       "block now";
	return trace->has_bind ? "that is none of --ip now" : "no --ip has its place now";
}

static int discard_stale(struct broker *broker, const struct survey *survey)
{
	for (size_t i = 0; i < survey->n_traces; i++) {
		const struct plane_trace *trace = &survey->traces[i];
		int error;

		if (!assignment_is_stale(trace, broker->assignments, broker->config->n_binds))
			continue;
		log_warning("removing %s and its tunnels, left by an earlier server for %s: %s",
			plane_device_name(trace->index).s,
			trace->has_bind ? ipv4_text(trace->bind).s : "an unknown address",
			why_stale(broker->config, trace));
		error = broker->plane->ops->discard(broker->plane, trace->index);
		if (error < 0) {
			log_error("cannot remove %s: %s", plane_device_name(trace->index).s,
				plane_error(broker->plane));
			return error;
		}
	}
	return 0;
}

static int assign(struct broker *broker)
{
	const struct server_config *config = broker->config;
	uint64_t n_blocks = UINT64_C(1) << (config->block_length - config->whole_block.length);
	unsigned int n_indexes = n_blocks < MAX_BINDS ? (unsigned int)n_blocks : MAX_BINDS;
	struct survey survey = {calloc(MAX_TRACES, sizeof(*survey.traces)), 0};
	int error = -ENOMEM;

	broker->assignments = calloc(config->n_binds, sizeof(*broker->assignments));
	if (!survey.traces || !broker->assignments)
		goto out;
	error = broker->plane->ops->survey(broker->plane, note_trace, &survey);
	if (error < 0) {
		log_error("cannot see what an earlier server left: %s",
			error == -E2BIG ? "too many interfaces" : plane_error(broker->plane));
		goto out;
	}
	assign_indexes(config->binds, config->n_binds, survey.traces, survey.n_traces, n_indexes,
		broker->assignments);
	error = discard_stale(broker, &survey);
out:
	free(survey.traces);
	return error;
}

static int describe_endpoint(struct broker *broker, size_t i)
{
	const struct server_config *config = broker->config;
	struct endpoint *endpoint = &broker->endpoints[i];
	unsigned int index = broker->assignments[i].index;

	*endpoint = (struct endpoint){
		.config = {.index = index,
			.bind = config->binds[i],
			.port = (uint16_t)(WIREGUARD_PORT + index),
			.private_key = broker->private_key},
		.plane = broker->plane,
		.clock = &system_clock,
		.answer = answer,
		.answer_context = broker,
	};
	prefix_subnet(config->whole_block, config->block_length, index, &endpoint->config.block);
	endpoint->config.gateway = pool_gateway(endpoint->config.block);
	return key_derive_public(&broker->private_key, &endpoint->public_key);
}

static int open_endpoints(struct broker *broker)
{
	int error = 0;

	for (size_t i = 0; i < broker->config->n_binds && error == 0; i++) {
		const struct endpoint *endpoint = &broker->endpoints[i];

		broker->n_open++;
		error = endpoint_open(&broker->endpoints[i], broker->base);
		if (error == 0)
			log_info("%s: %s, block %s, WireGuard on UDP port %u",
				endpoint_text(endpoint).s,
				plane_device_name(endpoint->config.index).s,
				prefix_text(endpoint->config.block).s, endpoint->config.port);
	}
	return error;
}

/* The host is made ready first: the firewall must be there before the first packet. */
static int open_data_plane(struct broker *broker)
{
	const struct server_config *config = broker->config;
	int error = choose_plane(broker);

	if (error == 0)
		error = assign(broker);
	if (error < 0)
		return error;
	broker->endpoints = calloc(config->n_binds, sizeof(*broker->endpoints));
	if (!broker->endpoints)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_binds && error == 0; i++)
		error = describe_endpoint(broker, i);
	if (error < 0)
		return error;
	error = host_prepare(config, broker->endpoints, broker->base, &broker->host);
	return error < 0 ? error : open_endpoints(broker);
}

static uint32_t share(unsigned int total, unsigned int n)
{
	return (total + n - 1) / n;
}

static int describe_gates(struct broker *broker)
{
	const struct server_config *config = broker->config;
	struct gate_settings *settings = &broker->gate_settings;

	settings->config = (struct gate_config){
		.version = GATE_CONFIG_VERSION,
		.n_endpoints = (uint32_t)config->n_binds,
		.user = broker->user,
		.group = broker->group,
		.max_connections = share(config->max_connections, config->n_gates),
		.max_connections_per_source = config->max_connections_per_source,
		.log_level = config->log_level,
		.log_format = config->log_format,
		.password_length = (uint32_t)strlen(config->password),
		.certificate_length = (uint32_t)broker->identity.certificate_length,
		.key_length = (uint32_t)broker->identity.key_length,
	};
	settings->password = (char *)config->password;
	settings->certificate = broker->identity.certificate;
	settings->key = broker->identity.key;
	settings->endpoints = calloc(config->n_binds, sizeof(*settings->endpoints));
	if (!settings->endpoints)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_binds; i++) {
		const struct endpoint *endpoint = &broker->endpoints[i];

		settings->endpoints[i] = (struct gate_endpoint){
			.bind = endpoint->config.bind,
			.block = endpoint->config.block,
			.public_key = endpoint->public_key,
			.port = endpoint->config.port,
		};
	}
	return 0;
}

static void announce(void *context)
{
	(void)context;
	notify_service_manager("READY=1");
	log_info("ready");
}

static int start_gates(struct broker *broker)
{
	const struct gatekeeper_config config = {
		.n_gates = broker->config->n_gates,
		.settings = &broker->gate_settings,
		.listeners = broker->listeners,
		.on_request = on_request,
		.on_ready = announce,
		.on_drained = stop_draining,
		.context = broker,
	};
	int error = describe_gates(broker);

	return error < 0 ? error : gatekeeper_new(broker->base, &config, &broker->gatekeeper);
}

static int add_events(struct broker *broker)
{
	static const int stop_signals[] = {SIGTERM, SIGINT, SIGHUP};
	struct timeval interval = timeval_from_ms(broker->config->reap_interval_ms);
	bool ok = true;

	for (size_t i = 0; i < sizeof stop_signals / sizeof *stop_signals && ok; i++) {
		broker->stop_signals[i] =
			evsignal_new(broker->base, stop_signals[i], on_signal, broker);
		ok = broker->stop_signals[i] && event_add(broker->stop_signals[i], NULL) == 0;
	}
	broker->reap = event_new(broker->base, -1, EV_PERSIST, on_reap, broker);
	broker->drain_timeout = evtimer_new(broker->base, on_drain_timeout, broker);
	if (!ok || !broker->reap || !broker->drain_timeout ||
		event_add(broker->reap, &interval) < 0) {
		log_error("cannot set up the event loop");
		return -ENOMEM;
	}
	return 0;
}

static int start(struct broker *broker)
{
	/* From here on a signal waits until the start is through, and then ends the server in
	 * order. */
	int error = add_events(broker);

	if (error == 0)
		error = check_rights();
	if (error == 0)
		error = find_user(broker);
	if (error == 0)
		error = take_lock(broker);
	if (error == 0)
		error = load_keys(broker);
	if (error == 0)
		error = open_listeners(broker);
	if (error == 0)
		error = open_data_plane(broker);
	return error < 0 ? error : start_gates(broker);
}

/*
 * What stays: after a start that failed, what was there before it; else what was relinquished, or
 * all with --on-exit=keep.
 */
static void decide_what_stays(struct broker *broker, bool started)
{
	for (size_t i = 0; broker->endpoints && i < broker->config->n_binds; i++) {
		struct endpoint *endpoint = &broker->endpoints[i];

		if (!started)
			endpoint->keep = broker->assignments[i].adopts;
		else if (broker->config->keep_on_exit)
			endpoint->keep = true;
	}
}

static int close_endpoints(struct broker *broker)
{
	int result = 0;

	for (size_t i = 0; i < broker->n_open; i++) {
		struct endpoint *endpoint = &broker->endpoints[i];
		int error = endpoint_close(endpoint, endpoint->keep);

		if (error < 0) {
			log_error("%s: cannot remove %s: %s", endpoint_text(endpoint).s,
				plane_device_name(endpoint->config.index).s,
				plane_error(broker->plane));
			result = error;
		}
	}
	return result;
}

static void free_event(struct event *event)
{
	if (event)
		event_free(event);
}

static void free_memory(struct broker *broker)
{
	for (size_t i = 0; i < sizeof broker->stop_signals / sizeof *broker->stop_signals; i++)
		free_event(broker->stop_signals[i]);
	free_event(broker->reap);
	free_event(broker->drain_timeout);
	if (broker->base)
		event_base_free(broker->base);
	if (broker->plane)
		broker->plane->ops->free(broker->plane);
	free(broker->gate_settings.endpoints);
	for (size_t i = 0; broker->endpoints && i < broker->config->n_binds; i++)
		key_wipe(&broker->endpoints[i].config.private_key);
	free(broker->endpoints);
	free(broker->assignments);
	free(broker->listeners);
	identity_free(&broker->identity);
	key_wipe(&broker->private_key);
	if (broker->lock >= 0)
		close(broker->lock);
}

/* The way back, whichever step of the way there was the last. The firewall goes after the tunnels
 * it guards. */
static int stop(struct broker *broker, bool started)
{
	int error, result;

	gatekeeper_free(broker->gatekeeper);
	close_listeners(broker);
	decide_what_stays(broker, started);
	result = close_endpoints(broker);
	error = host_restore(broker->host, started);
	free_memory(broker);
	return result < 0 ? result : error;
}

/* A listener for each --ip, and twice as many while a gate is being started. */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int broker_run(const struct server_config *config)
{
	struct broker broker = {.config = config, .lock = -1};
	int error, stop_error;

	log_info("vprox %s (%s) starts", version_number, version_git_commit);
	/* The reader of the log may go; the tunnels must not go with it. */
	signal(SIGPIPE, SIG_IGN);
	/* Whoever started us may have it ignored, and then no program's end could be waited for. */
	signal(SIGCHLD, SIG_DFL);
	raise_file_limit();
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
