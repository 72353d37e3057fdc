/*
 * The processes and sockets that face the network, as the broker has them: their start, their
 * callbacks and their end. Runs in the broker's event loop.
 */
#include "server/frontend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/rights.h"
#include "ipc/token_set.h"
#include "server/audit.h"
#include "server/config.h"
#include "server/data_plane.h"
#include "server/gate_setup.h"
#include "server/identity.h"
#include "server/issuer_supervisor.h"
#include "server/pending_connects.h"
#include "server/possible_client.h"
#include "server/requests.h"
#include "server/signer_supervisor.h"

/* One of its own: what no gate may be able to stop. */
static const char holder_user[] = "vprox-holder";

enum {
	BUSY_GATE = 2, /* clients that have no answer yet, so that it does not stand still */
};

/* Of the gates: whether they run as somebody else than the broker. */
static bool changes_user(const struct gate_config *gate)
{
	return gate->user != geteuid() || gate->group != getegid();
}

int frontend_find_user(struct frontend *frontend)
{
	struct gate_config *gates = &frontend->settings.config;
	int error = gate_setup_find_user(frontend->config, gates);

	return error < 0 ? error : rights_check(changes_user(gates));
}

void frontend_start_store(struct frontend *frontend, struct event_base *base)
{
	uint32_t user = 0, group = 0;

	if (listener_store_has_holder(&frontend->listener_store))
		gate_setup_choose_user(holder_user, &frontend->settings.config, &user, &group);
	listener_store_start(&frontend->listener_store, base, user, group);
}

int frontend_start_issuers(struct frontend *frontend, struct event_base *base)
{
	struct issuer_supervisor_config config = {
		.issuers = frontend->config->issuers,
		.n = frontend->config->n_issuers,
		.authorities = frontend->config->issuer_authorities,
	};

	if (config.n == 0)
		return 0;
	gate_setup_describe_fetcher(&config.settings, frontend->config, &frontend->settings.config);
	return issuer_supervisor_new(base, &config, &frontend->issuers);
}

int frontend_open_listeners(struct frontend *frontend)
{
	struct gate_settings *settings = &frontend->settings;
	const struct endpoint *endpoint;
	struct ipv4 *binds;
	int error = gate_setup_describe(settings, frontend->config, frontend->identity);
	size_t n = 0;

	if (error < 0)
		return error;
	frontend->gate_listeners =
		calloc(settings->config.max_endpoints, sizeof *frontend->gate_listeners);
	binds = calloc(settings->config.max_endpoints, sizeof *binds);
	if (!frontend->gate_listeners || !binds) {
		free(binds);
		return -ENOMEM;
	}
	TAILQ_FOREACH (endpoint, &frontend->data_plane->endpoints, entry) {
		if (!endpoint->is_served)
			continue;
		binds[n] = endpoint->config.bind;
		settings->endpoints[n++] = gate_setup_describe_endpoint(endpoint);
	}
	error = listeners_open(
		&frontend->listeners, &frontend->listener_store, binds, n, CONTROL_PORT);
	free(binds);
	if (error < 0)
		return error;
	settings->config.n_endpoints = (uint32_t)n;
	for (size_t i = 0; i < n; i++)
		frontend->gate_listeners[i] = frontend->listeners.fds[i];
	return 0;
}

/* An address that was ours may be another host's now, but is no client's. */
static bool can_have_tunnel(const struct frontend *frontend, struct ipv4 source)
{
	return is_possible_client(frontend->config, source) &&
	       !data_plane_endpoint(frontend->data_plane, source);
}

static void refuse(
	struct frontend *frontend, const struct client_request *request, enum refusal_reason reason)
{
	const struct refused_request refusal = {
		request->source, request->bind, request->source_port, (uint16_t)reason, 1};

	audit_refuse(frontend->data_plane->audit, &refusal, request->name.s, NULL);
}

/* What a gate says, which the kernel has not said. */
static void on_refused(void *context, const struct refused_request *refusal)
{
	struct frontend *frontend = context;

	audit_refuse(frontend->data_plane->audit, refusal, NULL, NULL);
}

static void on_request(
	void *context, const struct client_request *request, const struct reply_to *reply_to)
{
	struct frontend *frontend = context;
	struct endpoint *endpoint = data_plane_endpoint(frontend->data_plane, request->bind);
	struct log_limit_text more;

	/* It went after its gate was asked. */
	if (!endpoint || !endpoint->is_served) {
		refuse(frontend, request, REFUSAL_NOT_SERVED);
		gate_supervisor_answer(
			frontend->supervisor, reply_to, IPC_NOT_SERVED, (struct ipv4){0});
		return;
	}
	if (request->operation == IPC_CONNECT_IPIP && !can_have_tunnel(frontend, request->source)) {
		if (endpoint_may_log(endpoint, request->source, &more))
			log_warning("%s: no IPIP tunnel is possible to %s%s",
				endpoint_text(endpoint).s, ipv4_text(request->source).s, more.s);
		refuse(frontend, request, REFUSAL_SOURCE);
		gate_supervisor_answer(
			frontend->supervisor, reply_to, IPC_WRONG_SOURCE, (struct ipv4){0});
		return;
	}
	endpoint_handle(endpoint, request, reply_to);
}

static void on_gate_ended(void *context, unsigned int gate, uint64_t generation)
{
	struct frontend *frontend = context;
	struct endpoint *endpoint;

	data_plane_for_each(frontend->data_plane, endpoint)
		pending_connects_forget_gate(&endpoint->pending, gate, generation);
}

static bool is_ours(void *context, struct ipv4 bind)
{
	const struct frontend *frontend = context;

	return data_plane_endpoint(frontend->data_plane, bind) != NULL;
}

static void on_signer_socket(void *context, unsigned int gate, int fd)
{
	struct frontend *frontend = context;

	gate_supervisor_give_signer(frontend->supervisor, gate, fd);
}

static void on_gate_dropped(void *context, unsigned int gate, int error)
{
	struct frontend *frontend = context;

	gate_supervisor_drop(frontend->supervisor, gate, error);
}

static void on_gate_started(void *context, unsigned int gate)
{
	struct frontend *frontend = context;

	signer_supervisor_connect(frontend->signers, gate);
}

static void on_fetch_keys(void *context, unsigned int issuer)
{
	struct frontend *frontend = context;

	if (frontend->issuers)
		issuer_supervisor_fetch(frontend->issuers, issuer);
}

static int start_signers(struct frontend *frontend, struct event_base *base)
{
	struct signer_supervisor_config config = {
		.n_gates = frontend->config->n_gates,
		.key_is_fast = frontend->identity->key_is_fast,
		.key_fd = frontend->identity->key_fd,
		.on_socket = on_signer_socket,
		.on_dropped = on_gate_dropped,
		.context = frontend,
	};

	gate_setup_describe_signer(&config.settings, frontend->config, &frontend->settings.config);
	return signer_supervisor_new(base, &config, &frontend->signers);
}

static void on_ready(void *context)
{
	const struct frontend *frontend = context;

	frontend->on_ready(frontend->context);
}

static void on_drained(void *context)
{
	const struct frontend *frontend = context;

	frontend->on_drained(frontend->context);
}

static int start_gates(struct frontend *frontend, struct event_base *base)
{
	const int tokens =
		frontend->config->tokens ? token_set_write(frontend->config->tokens) : -1;
	const struct gate_supervisor_config config = {
		.tokens = tokens,
		.n_gates = frontend->config->n_gates,
		.settings = &frontend->settings,
		.listeners = frontend->gate_listeners,
		.port = CONTROL_PORT,
		.is_ours = is_ours,
		.issuers_fd = frontend->issuers
				      ? issuer_sheet_fd(issuer_supervisor_sheet(frontend->issuers))
				      : -1,
		.on_fetch_keys = on_fetch_keys,
		.on_request = on_request,
		.on_refused = on_refused,
		.on_gate_ended = on_gate_ended,
		.on_started = on_gate_started,
		.on_ready = on_ready,
		.on_drained = on_drained,
		.context = frontend,
	};
	int error = tokens < 0 && frontend->config->tokens ? tokens : 0;

	if (error < 0)
		log_error("cannot hand out the tokens: %s", strerror(-error));
	else
		error = gate_supervisor_new(base, &config, &frontend->supervisor);
	return error;
}

int frontend_start(struct frontend *frontend, struct event_base *base)
{
	int error = start_signers(frontend, base);

	return error < 0 ? error : start_gates(frontend, base);
}

/* Each gate has others to shake hands with, whose orders come soon. */
bool frontend_is_busy(const struct frontend *frontend, size_t n_ordered)
{
	return frontend->supervisor && gate_supervisor_waiting(frontend->supervisor) >=
					       n_ordered + BUSY_GATE * frontend->config->n_gates;
}

void frontend_stop_listening(struct frontend *frontend)
{
	listener_store_abandon(&frontend->listener_store);
	listeners_close(&frontend->listeners);
}

void frontend_drain(struct frontend *frontend, bool keep)
{
	if (keep)
		listener_store_retire(&frontend->listener_store);
	else
		frontend_stop_listening(frontend);
	gate_supervisor_drain(frontend->supervisor, keep);
}

void frontend_stop(struct frontend *frontend)
{
	gate_supervisor_free(frontend->supervisor);
	frontend->supervisor = NULL;
	signer_supervisor_free(frontend->signers);
	issuer_supervisor_free(frontend->issuers);
}

void frontend_free(struct frontend *frontend)
{
	listener_store_close(&frontend->listener_store);
	free(frontend->settings.endpoints);
	free(frontend->gate_listeners);
	listeners_close(&frontend->listeners);
}
