#include "host/host.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/log.h"
#include "netlink/socket.h"
#include "host/bind_address.h"
#include "server/config.h"
#include "server/endpoint.h"
#include "host/firewall.h"
#include "host/foreign_firewall.h"
#include "host/go_leftovers.h"
#include "host/policy_rules.h"
#include "host/sysctls.h"

struct host {
	const struct server_config *config;
	const struct endpoint *endpoints;
	struct netlink *netlink;
	struct bind_address *binds;
	struct firewall_endpoint *firewall_endpoints;
	struct firewall_config firewall;
	struct firewall_state firewall_state;
	struct foreign_firewall *foreign;
	struct event *tend_timer;
	struct event *address_timer;
};

/* What goes wrong is logged by each; the next call tries again. */
static void on_tend_timer(evutil_socket_t fd, short what, void *context)
{
	struct host *host = context;

	(void)fd;
	(void)what;
	firewall_tend(&host->firewall, &host->firewall_state);
	foreign_firewall_tend(host->foreign);
	policy_rules_tend(host->netlink, &host->firewall);
	sysctls_tend(host->netlink, &host->firewall);
}

static int tend_bind_addresses(struct host *host)
{
	int result = 0;

	for (size_t i = 0; i < host->config->n_binds; i++) {
		int error = bind_address_tend(host->netlink, &host->binds[i]);

		result = result < 0 ? result : error;
	}
	return result;
}

static void on_address_timer(evutil_socket_t fd, short what, void *context)
{
	struct host *host = context;

	(void)fd;
	(void)what;
	tend_bind_addresses(host);
}

/* Describes the endpoints to the firewall: all, or those that stay. */
static void describe_firewall(struct host *host, bool only_kept)
{
	const struct server_config *config = host->config;
	size_t n = 0;

	for (size_t i = 0; i < config->n_binds; i++) {
		const struct endpoint *endpoint = &host->endpoints[i];

		if (only_kept && !endpoint->keep)
			continue;
		host->firewall_endpoints[n++] = (struct firewall_endpoint){
			.index = endpoint->config.index,
			.bind = endpoint->config.bind,
			.block = endpoint->config.block,
			.port = endpoint->config.port,
		};
	}
	host->firewall = (struct firewall_config){
		.endpoints = host->firewall_endpoints,
		.n_endpoints = n,
		.whole_block = config->whole_block,
		.allow_peer_to_peer = config->allow_peer_to_peer,
		.allow_link_local = config->allow_link_local,
	};
}

static int start_timer(struct host *host, struct event_base *base, event_callback_fn callback,
	unsigned int period_ms, struct event **timer)
{
	struct timeval period = timeval_from_ms(period_ms);

	*timer = event_new(base, -1, EV_PERSIST, callback, host);
	return *timer && event_add(*timer, &period) == 0 ? 0 : -ENOMEM;
}

static int allocate(struct host *host)
{
	const struct server_config *config = host->config;
	int error = netlink_open(NETLINK_ROUTE, &host->netlink);

	if (error < 0)
		return error;
	host->binds = calloc(config->n_binds, sizeof(*host->binds));
	host->firewall_endpoints = calloc(config->n_binds, sizeof(*host->firewall_endpoints));
	if (!host->binds || !host->firewall_endpoints)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_binds; i++)
		host->binds[i].address = config->binds[i];
	describe_firewall(host, false);
	host->foreign = foreign_firewall_new(&host->firewall);
	return host->foreign ? 0 : -ENOMEM;
}

static int prepare_firewall(struct host *host)
{
	int error;

	error = firewall_load(&host->firewall, &host->firewall_state);
	if (error < 0)
		return error;
	/* Only now that ours translates addresses: the traffic of adopted tunnels does not stop. */
	go_leftovers_remove(false);
	foreign_firewall_tend(host->foreign);
	firewall_report_closed_inputs(&host->firewall);
	return 0;
}

int host_prepare(const struct server_config *config, const struct endpoint *endpoints,
	struct event_base *base, struct host **result)
{
	struct host *host = calloc(1, sizeof *host);
	int error;

	*result = host;
	if (!host)
		return -ENOMEM;
	host->config = config;
	host->endpoints = endpoints;
	error = allocate(host);
	if (error < 0) {
		log_error("cannot prepare the host: %s", strerror(-error));
		return error;
	}
	error = prepare_firewall(host);
	if (error == 0)
		error = tend_bind_addresses(host);
	if (error == 0)
		error = policy_rules_tend(host->netlink, &host->firewall);
	if (error == 0)
		error = sysctls_prepare(host->netlink, &host->firewall);
	if (error == 0)
		error = start_timer(host, base, on_tend_timer, TEND_PERIOD_MS, &host->tend_timer);
	if (error == 0)
		error = start_timer(
			host, base, on_address_timer, ADDRESS_PERIOD_MS, &host->address_timer);
	return error;
}

static int first_error(int a, int b)
{
	return a < 0 ? a : b;
}

static int restore_bind_addresses(struct host *host, bool started)
{
	int result = 0;

	for (size_t i = 0; i < host->config->n_binds; i++) {
		struct bind_address *bind = &host->binds[i];
		int error;

		if (!started)
			error = bind_address_take_back(host->netlink, bind);
		else if (host->endpoints[i].keep)
			error = bind_address_keep(host->netlink, bind);
		else
			error = bind_address_remove(host->netlink, bind);
		result = first_error(result, error);
	}
	return result;
}

/* What guards the tunnels that stay is written anew for them alone. */
static int restore_firewall(struct host *host)
{
	describe_firewall(host, true);

	bool keep = host->firewall.n_endpoints > 0;
	int error = keep ? policy_rules_tend(host->netlink, &host->firewall)
			 : policy_rules_remove(host->netlink, false);

	foreign_firewall_free(host->foreign, keep);
	return first_error(error,
		keep ? firewall_load(&host->firewall, &host->firewall_state) : firewall_remove());
}

int host_restore(struct host *host, bool started)
{
	int error = 0;

	if (!host)
		return 0;
	free_event(host->tend_timer);
	free_event(host->address_timer);
	if (host->foreign) {
		error = restore_bind_addresses(host, started);
		error = first_error(error, restore_firewall(host));
	}
	netlink_close(host->netlink);
	free(host->binds);
	free(host->firewall_endpoints);
	free(host);
	return error;
}
