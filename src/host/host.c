/*
 * Prepares the host in the order that a server needs, reconciles it by timers of the broker's event
 * loop, and restores it. All in the broker's thread.
 */
#include "host/host.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/log.h"
#include "netlink/socket.h"
#include "host/bind_address.h"
#include "host/block_warnings.h"
#include "host/confinement.h"
#include "host/egress_policy.h"
#include "host/firewall.h"
#include "host/firewall_confined.h"
#include "host/firewall_flows.h"
#include "host/firewall_inputs.h"
#include "host/foreign_firewall.h"
#include "host/forward_watch.h"
#include "host/fragments.h"
#include "host/go_leftovers.h"
#include "host/host_config.h"
#include "host/internal_network.h"
#include "host/policy_rules.h"
#include "host/sysctls.h"
#include "host/tracking.h"

enum {
	RECONCILE_PERIOD_MS = 5000, /* between checks of what other programs have changed */
	ADDRESS_PERIOD_MS = 15000, /* between renewals of the bind addresses */
	TRACKING_PERIOD_MS = 1000, /* between looks at how full connection tracking is */
};

struct host {
	struct host_config config; /* at the end: the endpoints that stay */
	struct host_endpoint *endpoints; /* config's */
	bool *stays; /* of each endpoint */
	struct bind_address *binds; /* likewise; not used of those that are followed */
	struct netlink *netlink;
	struct firewall_state firewall_state;
	struct confinement confinement; /* config's */
	struct foreign_firewall *foreign;
	struct forward_watch forward_watch;
	struct tracking_watch tracking;
	struct event *reconcile_timer;
	struct event *address_timer;
	struct event *tracking_timer;
};

/* What goes wrong is logged by each; the next call tries again. */
static void on_reconcile_timer(evutil_socket_t fd, short what, void *context)
{
	struct host *host = context;

	(void)fd;
	(void)what;
	firewall_reconcile(&host->config, &host->firewall_state);
	foreign_firewall_reconcile(host->foreign);
	forward_watch_check(&host->forward_watch, foreign_firewall_legacy(host->foreign));
	policy_rules_reconcile(host->netlink, &host->config);
	sysctls_reconcile(host->netlink, &host->config);
}

static int reconcile_bind_addresses(struct host *host)
{
	int result = 0;

	for (size_t i = 0; i < host->config.n_endpoints; i++) {
		int error = host->endpoints[i].is_followed
				    ? 0
				    : bind_address_reconcile(host->netlink, &host->binds[i]);

		result = result < 0 ? result : error;
	}
	return result;
}

static void on_address_timer(evutil_socket_t fd, short what, void *context)
{
	struct host *host = context;

	(void)fd;
	(void)what;
	reconcile_bind_addresses(host);
}

static void on_tracking_timer(evutil_socket_t fd, short what, void *context)
{
	struct host *host = context;

	(void)fd;
	(void)what;
	tracking_watch(&host->tracking);
}

static int start_timer(struct host *host, struct event_base *base, event_callback_fn callback,
	unsigned int period_ms, struct event **timer)
{
	struct timeval period = timeval_from_ms(period_ms);

	*timer = event_new(base, -1, EV_PERSIST, callback, host);
	return *timer && event_add(*timer, &period) == 0 ? 0 : -ENOMEM;
}

static void append(struct host *host, const struct host_endpoint *endpoint)
{
	size_t i = host->config.n_endpoints++;

	host->endpoints[i] = *endpoint;
	host->stays[i] = false;
	host->binds[i] = (struct bind_address){.address = endpoint->bind};
}

/* Closes the gap: the others stay in their order. */
static void drop(struct host *host, size_t i)
{
	size_t n_after = --host->config.n_endpoints - i;

	memmove(&host->endpoints[i], &host->endpoints[i + 1], n_after * sizeof *host->endpoints);
	memmove(&host->stays[i], &host->stays[i + 1], n_after * sizeof *host->stays);
	memmove(&host->binds[i], &host->binds[i + 1], n_after * sizeof *host->binds);
}

/* config.n_endpoints: there is none. */
static size_t find(const struct host *host, struct ipv4 bind)
{
	size_t i = 0;

	while (i < host->config.n_endpoints && !ipv4_equal(host->endpoints[i].bind, bind))
		i++;
	return i;
}

static int copy_config(struct host *host, const struct host_config *config)
{
	size_t n = config->max_endpoints;

	host->endpoints = calloc(n, sizeof(*host->endpoints));
	host->stays = calloc(n, sizeof(*host->stays));
	host->binds = calloc(n, sizeof(*host->binds));
	if (!host->endpoints || !host->stays || !host->binds)
		return -ENOMEM;
	host->config = *config;
	host->config.endpoints = host->endpoints;
	host->config.n_endpoints = 0;
	for (size_t i = 0; i < config->n_endpoints; i++)
		append(host, &config->endpoints[i]);
	return 0;
}

/* First as a server before this one has left it: of tunnels that go on, whose names nobody may
 * know, it holds, and at no moment does any reach more. Then as it is known to be now. */
static int set_up_confinement(struct host *host, const struct host_config *config)
{
	int error = confinement_init(&host->confinement);

	host->config.confinement = &host->confinement;
	if (error == 0)
		error = firewall_read_confined(&host->confinement);
	for (size_t i = 0; i < config->n_confining && error == 0; i++)
		error = confinement_set(&host->confinement, config->confining[i].inner,
			config->confining[i].to, config->confining[i].n);
	host->config.confining = NULL;
	host->config.n_confining = 0;
	return error;
}

static int set_up(struct host *host, const struct host_config *config, struct event_base *base)
{
	int error = netlink_open(NETLINK_ROUTE, &host->netlink);

	if (error == 0)
		error = copy_config(host, config);
	if (error == 0)
		error = set_up_confinement(host, config);
	if (error < 0)
		return error;
	host->foreign = foreign_firewall_new(base, &host->config);
	return host->foreign ? 0 : -ENOMEM;
}

static uint64_t memory_of_machine(void)
{
	struct sysinfo info;

	return sysinfo(&info) == 0 ? (uint64_t)info.totalram * info.mem_unit : 0;
}

static int prepare_firewall(struct host *host)
{
	int error = 0;

	host->config.finds_sockets = firewall_can_find_sockets();
	if (host->config.internal.network.length > 0)
		error = internal_network_find(host->netlink, &host->config.internal);
	if (error == 0)
		error = firewall_load(&host->config, &host->firewall_state);
	if (error < 0)
		return error;
	egress_policy_log(&host->config.policy);
	/* Only now that the firewall has had the kernel load it. */
	fragments_make_room(NULL, memory_of_machine());
	tracking_make_room(NULL, firewall_peers_room(&host->config), memory_of_machine());
	if (host->config.takes_over)
		tracking_check_liberal();
	/* Only now that ours translates addresses: the traffic of adopted tunnels does not stop. */
	go_leftovers_remove(false);
	foreign_firewall_reconcile(host->foreign);
	firewall_report_closed_inputs(&host->config);
	return 0;
}

/* The order matters: the firewall before any packet can come through a tunnel; the bind addresses
 * before the policy rules, which mirror their routing, and before the settings of the interfaces
 * that hold them; the timers last, so that they find all of it. */
int host_prepare(const struct host_config *config, struct event_base *base, struct host **result)
{
	struct host *host = calloc(1, sizeof *host);
	int error;

	*result = host;
	if (!host)
		return -ENOMEM;
	error = set_up(host, config, base);
	if (error < 0) {
		log_error("cannot prepare the host: %s", strerror(-error));
		return error;
	}
	block_warnings_log(host->netlink, config->whole_block);
	error = prepare_firewall(host);
	if (error == 0)
		error = reconcile_bind_addresses(host);
	if (error == 0)
		error = policy_rules_reconcile(host->netlink, &host->config);
	if (error == 0)
		error = sysctls_prepare(host->netlink, &host->config);
	if (error == 0)
		error = start_timer(host, base, on_reconcile_timer, RECONCILE_PERIOD_MS,
			&host->reconcile_timer);
	if (error == 0)
		error = start_timer(
			host, base, on_address_timer, ADDRESS_PERIOD_MS, &host->address_timer);
	if (error == 0)
		error = start_timer(
			host, base, on_tracking_timer, TRACKING_PERIOD_MS, &host->tracking_timer);
	return error;
}

static int first_error(int a, int b)
{
	return a < 0 ? a : b;
}

static int restore_bind_addresses(struct host *host, bool started)
{
	int result = 0;

	for (size_t i = 0; i < host->config.n_endpoints; i++) {
		struct bind_address *bind = &host->binds[i];
		int error;

		if (host->endpoints[i].is_followed)
			error = 0;
		else if (!started)
			error = bind_address_undo(host->netlink, bind);
		else if (host->stays[i])
			error = bind_address_keep(host->netlink, bind);
		else
			error = bind_address_remove(host->netlink, bind);
		result = first_error(result, error);
	}
	return result;
}

/* From here on the configuration is that of the endpoints that stay. */
static void forget_others(struct host *host)
{
	size_t n_kept = 0;

	for (size_t i = 0; i < host->config.n_endpoints; i++)
		if (host->stays[i])
			host->endpoints[n_kept++] = host->endpoints[i];
	host->config.n_endpoints = n_kept;
}

/* What guards the tunnels that stay is written anew for them alone. */
static int restore_firewall(struct host *host)
{
	bool keep = host->config.n_endpoints > 0;
	int error = keep ? policy_rules_reconcile(host->netlink, &host->config)
			 : policy_rules_remove(host->netlink, false);

	foreign_firewall_free(host->foreign, keep);
	return first_error(error,
		keep ? firewall_load(&host->config, &host->firewall_state) : firewall_remove());
}

bool host_is_full(const struct host *host)
{
	return host && host->tracking.is_closed;
}

const uint8_t *host_firewall(const struct host *host)
{
	return host ? host->firewall_state.tables.digest : NULL;
}

/* In the order of host_prepare(). */
int host_serve(struct host *host, const struct host_endpoint *endpoint)
{
	const size_t i = host->config.n_endpoints;
	int error;

	if (i == host->config.max_endpoints)
		return -ENOSPC;
	append(host, endpoint);
	error = firewall_add(&host->config, endpoint, &host->firewall_state);
	foreign_firewall_endpoints_changed(host->foreign);
	foreign_firewall_reconcile(host->foreign);
	if (error == 0 && !endpoint->is_followed)
		error = bind_address_reconcile(host->netlink, &host->binds[i]);
	if (error == 0)
		error = policy_rules_reconcile(host->netlink, &host->config);
	return error < 0 ? error : sysctls_reconcile(host->netlink, &host->config);
}

int host_arrive(struct host *host, struct ipv4 bind)
{
	const size_t i = find(host, bind);
	int error;

	if (i == host->config.n_endpoints)
		return -ENOENT;
	firewall_say_arrived(&host->endpoints[i]);
	error = policy_rules_reconcile(host->netlink, &host->config);
	return error < 0 ? error : sysctls_reconcile(host->netlink, &host->config);
}

void host_serve_no_more(struct host *host, struct ipv4 bind)
{
	const size_t i = find(host, bind);
	struct host_endpoint endpoint;

	if (i == host->config.n_endpoints)
		return;
	endpoint = host->endpoints[i];
	if (!endpoint.is_followed)
		bind_address_remove(host->netlink, &host->binds[i]);
	drop(host, i);
	firewall_take_out(&host->config, &endpoint, &host->firewall_state);
	foreign_firewall_endpoints_changed(host->foreign);
	foreign_firewall_reconcile(host->foreign);
	policy_rules_reconcile(host->netlink, &host->config);
}

int host_change_policy(struct host *host, const struct egress_policy *policy)
{
	const struct egress_policy before = host->config.policy;
	int error;

	host->config.policy = *policy;
	error = firewall_load(&host->config, &host->firewall_state);
	if (error < 0)
		host->config.policy = before;
	else
		egress_policy_log(policy);
	return error;
}

int host_confine(struct host *host, const struct confining *changes, size_t n)
{
	return firewall_confine(&host->config, &host->firewall_state, changes, n);
}

bool host_confines_in_place(const struct host *host, const struct confining *change)
{
	return firewall_confines_in_place(&host->firewall_state, change, 1);
}

void host_confine_no_more(struct host *host, host_address_fn *is_unused, void *context)
{
	struct confining *changes;
	size_t n = 0;

	if (host->confinement.table.count == 0)
		return;
	changes = calloc(host->confinement.table.count, sizeof *changes);
	if (!changes)
		return; /* the next call, or the next holder of each, sees to it */
	hash_for_each (&host->confinement.table, node) {
		const struct ipv4 inner = hash_entry(node, struct confined, node)->inner;

		if (is_unused(context, inner))
			changes[n++] = (struct confining){.inner = inner};
	}
	if (n > 0)
		host_confine(host, changes, n);
	free(changes);
}

void host_keep_endpoint(struct host *host, struct ipv4 bind)
{
	size_t i = host ? find(host, bind) : 0;

	/* None after a start that had no memory for them. */
	if (host && i < host->config.n_endpoints)
		host->stays[i] = true;
}

/* The tunnels are gone or stay as they are. The addresses go before the firewall that guards them.
 */
int host_restore(struct host *host, bool started)
{
	int error = 0;

	if (!host)
		return 0;
	free_event(host->reconcile_timer);
	free_event(host->address_timer);
	free_event(host->tracking_timer);
	if (host->foreign) {
		foreign_firewall_settle(host->foreign);
		error = restore_bind_addresses(host, started);
		forget_others(host);
		error = first_error(error, restore_firewall(host));
	}
	netlink_close(host->netlink);
	netlink_close(host->firewall_state.netlink);
	confinement_free(&host->confinement);
	free(host->binds);
	free(host->endpoints);
	free(host->stays);
	free(host);
	return error;
}
