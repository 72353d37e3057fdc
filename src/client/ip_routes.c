/* The routes and policy rules of --route, over netlink. Runs in the client. */
#include "client/ip_routes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/fib_rules.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "client/mark.h"
#include "netlink/route.h"
#include "netlink/rule.h"
#include "netlink/socket.h"

enum {
	FIRST_TABLE = 0x76700000,
	TABLES = 0x100000,
	FIRST_PRIORITY = 20000, /* before the main table's 32766 */
	PLACES = 2000, /* each client has one, of RULES priorities */
};

/* In the order of their priorities. */
enum {
	RULE_SERVER, /* to the server: none of ours. The strict source check knows no marks */
	RULE_OWN_NARROW, /* by our routes that are no default route */
	RULE_MAIN_NARROW, /* by the host's own, likewise */
	RULE_OWN_ALL,
	RULE_END, /* does nothing: where RULE_SERVER leads, and what our place is known by */
	RULES,
};

enum { LAST_PRIORITY = FIRST_PRIORITY + PLACES * RULES };

struct ip_routes {
	const struct client_config *config;
	struct netlink *netlink;
	uint32_t table, priority;
	struct ipv4 server; /* whom RULE_SERVER is about; 0.0.0.0: nobody yet */
};

static int fail(int error, const char *tried)
{
	if (error < 0)
		log_error("--route: cannot %s: %s", tried, strerror(-error));
	return error;
}

/* The same for each start of a client of this interface. FNV-1a. */
static uint32_t hash_of(const char *interface)
{
	uint32_t hash = 2166136261;

	for (const char *p = interface; *p; p++)
		hash = (hash ^ (uint8_t)*p) * 16777619;
	return hash;
}

static bool has_default(const struct client_config *config)
{
	for (size_t i = 0; i < config->n_routes; i++)
		if (config->routes[i].length == 0)
			return true;
	return false;
}

/* Where our rules begin; 0 if there are none. */
static uint32_t find_own(const struct ip_routes *routes, const struct rule *rules, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (rules[i].protocol == CLIENT_PROTOCOL && rules[i].table == routes->table &&
			rules[i].priority >= FIRST_PRIORITY && rules[i].priority < LAST_PRIORITY)
			return rules[i].priority - (rules[i].priority - FIRST_PRIORITY) % RULES;
	return 0;
}

static bool is_taken(const struct rule *rules, size_t n, uint32_t priority)
{
	for (size_t i = 0; i < n; i++)
		if (rules[i].priority >= priority && rules[i].priority < priority + RULES)
			return true;
	return false;
}

/* Of an earlier client of the interface: its rules, and where they were. */
static int remove_rules(struct ip_routes *routes, const struct rule *rules, size_t n)
{
	uint32_t begin = find_own(routes, rules, n);
	int result = 0;

	if (begin == 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		int error;

		if (rules[i].protocol != CLIENT_PROTOCOL || rules[i].priority < begin ||
			rules[i].priority >= begin + RULES)
			continue;
		error = rule_delete(routes->netlink, &rules[i]);
		if (error < 0 && error != -ENOENT)
			result = error;
	}
	return result;
}

static int remove_routes(struct ip_routes *routes)
{
	const struct route_filter filter = {.table = routes->table};
	auto_free struct route *found = NULL;
	size_t n = 0;
	int error = route_dump(routes->netlink, &filter, &found, &n);

	for (size_t i = 0; i < n && error == 0; i++) {
		error = route_delete(routes->netlink, &found[i]);
		if (error == -ESRCH)
			error = 0;
	}
	return error;
}

/* Each interface's clients begin to search elsewhere, so that two that start at once do not find
 * the same place. */
static int find_place(struct ip_routes *routes, const struct rule *rules, size_t n)
{
	uint32_t first = hash_of(routes->config->interface) % PLACES;

	for (uint32_t i = 0; i < PLACES; i++) {
		routes->priority = FIRST_PRIORITY + (first + i) % PLACES * RULES;
		if (!is_taken(rules, n, routes->priority))
			return 0;
	}
	return fail(-ENOSPC, "find free preferences for rules");
}

/* Removes all that is there, and finds a place for the rules to come. */
static int clear(struct ip_routes *routes)
{
	auto_free struct rule *rules = NULL;
	size_t n = 0;
	int error = rule_dump(routes->netlink, &rules, &n);

	if (error == 0)
		error = remove_rules(routes, rules, n);
	if (error == 0)
		error = remove_routes(routes);
	if (error < 0)
		return fail(error, "remove rules and routes");
	return find_place(routes, rules, n);
}

int ip_routes_open(const struct client_config *config, struct ip_routes **result)
{
	struct ip_routes *routes = calloc(1, sizeof *routes);
	int error;

	if (!routes)
		return -ENOMEM;
	routes->config = config;
	routes->table = FIRST_TABLE + hash_of(config->interface) % TABLES;
	error = fail(netlink_open(NETLINK_ROUTE, &routes->netlink), "talk to the kernel");
	if (error == 0)
		error = clear(routes);
	if (error < 0) {
		ip_routes_close(routes, true);
		return error;
	}
	*result = routes;
	return 0;
}

static struct rule rule_for(const struct ip_routes *routes, unsigned int which)
{
	struct rule rule = {.priority = routes->priority + which,
		.action = FR_ACT_TO_TBL,
		.table = routes->table,
		.protocol = CLIENT_PROTOCOL};

	switch (which) {
	case RULE_SERVER:
		rule.action = FR_ACT_GOTO;
		rule.target = routes->priority + RULE_END;
		rule.to = (struct prefix){routes->server, 32};
		break;
	case RULE_END:
		rule.action = FR_ACT_NOP;
		break;
	case RULE_MAIN_NARROW:
		rule.table = RT_TABLE_MAIN;
		rule.no_default = true;
		break;
	default:
		rule.no_default = which == RULE_OWN_NARROW;
		rule.inverted = true;
		rule.mark = CLIENT_FWMARK;
		rule.mask = UINT32_MAX;
	}
	return rule;
}

static int add_rule(struct ip_routes *routes, unsigned int which)
{
	const struct rule rule = rule_for(routes, which);
	int error = rule_add(routes->netlink, &rule);

	return error == -EEXIST ? 0 : error;
}

static int except_server(struct ip_routes *routes, struct ipv4 server)
{
	struct rule rule = rule_for(routes, RULE_SERVER);

	if (routes->server.value != 0 && !ipv4_equal(routes->server, server))
		rule_delete(routes->netlink, &rule);
	routes->server = server;
	return add_rule(routes, RULE_SERVER);
}

static int add_routes(struct ip_routes *routes, unsigned int ifindex)
{
	int error = 0;

	for (size_t i = 0; i < routes->config->n_routes && error == 0; i++) {
		struct route route = route_of_link(routes->config->routes[i], ifindex);

		route.table = routes->table;
		route.protocol = CLIENT_PROTOCOL;
		error = route_set(routes->netlink, &route);
	}
	return error;
}

int ip_routes_set(struct ip_routes *routes, unsigned int ifindex, struct ipv4 server)
{
	int error;

	if (routes->config->n_routes == 0)
		return 0;
	/* First what an earlier client's place is known by, and exceptions before the rules they
	 * are from. Whatever comes of it, the table is empty until all the rules are there. */
	error = add_rule(routes, RULE_END);
	if (error == 0)
		error = except_server(routes, server);
	if (error == 0)
		error = add_rule(routes, RULE_OWN_NARROW);
	if (error == 0 && has_default(routes->config)) {
		error = add_rule(routes, RULE_MAIN_NARROW);
		if (error == 0)
			error = add_rule(routes, RULE_OWN_ALL);
	}
	if (error == 0)
		error = add_routes(routes, ifindex);
	return fail(error, "make rules and routes");
}

void ip_routes_close(struct ip_routes *routes, bool keep)
{
	if (!routes)
		return;
	if (!keep)
		clear(routes);
	netlink_close(routes->netlink);
	free(routes);
}
