/* The policy rules of --route, over netlink; with the table that they lead to, kept in step with
 * the host's own. Runs in the client. */
#include "client/ip_routes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/fib_rules.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "client/answer_rules.h"
#include "client/blocked_ranges.h"
#include "client/ipv6_block.h"
#include "client/kept_routes.h"
#include "client/mark.h"
#include "client/notice_watch.h"
#include "client/route_table.h"
#include "netlink/link.h"
#include "netlink/route.h"
#include "netlink/rule.h"
#include "netlink/socket.h"

enum {
	FIRST_TABLE = 0x76700000,
	TABLES = 0x100000,
	FIRST_PRIORITY = 20000, /* before the main table's 32766 */
	PLACES = 2000, /* each client has one, of RULES priorities */
};

/* In the order of their priorities. Those in between were an earlier version's. */
enum {
	RULE_SERVER = 0, /* to the server: none of ours. The strict source check knows no marks */
	RULE_ANSWERS = 0, /* what answers those outside: likewise */
	RULE_OWN = 1, /* by our table */
	RULE_END = 4, /* does nothing: where RULE_SERVER leads, and what our place is known by */
	RULES = 5,
};

/* As rtnetlink(7) has them: what is changed beside us. */
#define NOTICES                                                                                    \
	(RTMGRP_IPV4_ROUTE | RTMGRP_IPV4_RULE | RTMGRP_IPV4_IFADDR | 1u << (RTNLGRP_IPV6_RULE - 1))

enum { LAST_PRIORITY = FIRST_PRIORITY + PLACES * RULES };

struct ip_routes {
	const struct client_config *config;
	struct netlink *netlink;
	uint32_t table, priority;
	struct ipv4 server; /* whom RULE_SERVER is about; 0.0.0.0: nobody yet */
	unsigned int ifindex; /* 0: not set yet */
	struct kept_routes kept; /* as they were read last */
	bool said_ipv6;
	struct notice_watch *watch;
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

static uint32_t table_of(const char *interface)
{
	return FIRST_TABLE + hash_of(interface) % TABLES;
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

/* Also where nothing of an earlier client's is left but that. */
static int clear_ipv6(const struct ip_routes *routes, uint32_t begin)
{
	int error = begin == 0 ? 0 : ipv6_block_clear(routes->netlink, begin);

	if (error == 0 && routes->priority != 0 && routes->priority != begin)
		error = ipv6_block_clear(routes->netlink, routes->priority);
	return error;
}

/* Removes all that is there, and finds a place for the rules to come. */
static int clear(struct ip_routes *routes)
{
	auto_free struct rule *rules = NULL;
	size_t n = 0;
	int error = rule_dump(routes->netlink, &rules, &n);

	if (error == 0)
		error = clear_ipv6(routes, find_own(routes, rules, n));
	if (error == 0)
		error = remove_rules(routes, rules, n);
	if (error == 0)
		error = route_table_clear(routes->netlink, routes->table);
	if (error < 0)
		return fail(error, "remove rules and routes");
	error = find_place(routes, rules, n);
	return error < 0 ? error : fail(clear_ipv6(routes, 0), "remove rules");
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
	default:
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

static int read_kept(struct ip_routes *routes)
{
	struct kept_routes now;
	int error = kept_routes_read(routes->netlink, routes->config, routes->ifindex, &now);

	if (error < 0) {
		kept_routes_free(&now);
		return error;
	}
	kept_routes_log(&routes->kept, &now);
	kept_routes_free(&routes->kept);
	routes->kept = now;
	return 0;
}

static void log_ipv6(const struct client_config *config)
{
	if (config->ipv6 == IPV6_BLOCK)
		log_info("IPv6 is blocked, but for what stays on a link, as no tunnel carries it; "
			 "--ipv6=leave leaves it as it is");
	else
		log_warning("IPv6 goes on beside the tunnel, with this host's own addresses");
}

static int block_ipv6(struct ip_routes *routes)
{
	if (!blocked_ranges_has_all(routes->config))
		return 0;
	if (!routes->said_ipv6)
		log_ipv6(routes->config);
	routes->said_ipv6 = true;
	return routes->config->ipv6 == IPV6_LEAVE
		       ? 0
		       : ipv6_block_set(
				 routes->netlink, routes->priority, !routes->config->no_block);
}

/* Without the block nothing would tell an answer from what only has an own address. */
static int let_answers_by(struct ip_routes *routes)
{
	const struct answer_place place = {.priority = routes->priority + RULE_ANSWERS,
		.target = routes->priority + RULE_END,
		.table = routes->table};

	return routes->config->no_block
		       ? 0
		       : answer_rules_set(routes->netlink, &place, routes->ifindex);
}

int ip_routes_set(struct ip_routes *routes, unsigned int ifindex, struct ipv4 server)
{
	int error;

	if (routes->config->n_routes == 0)
		return 0;
	routes->ifindex = ifindex;
	/* First what an earlier client's place is known by, and exceptions before the rule they are
	 * from. Whatever comes of it, the table is empty until all the rules are there. */
	error = add_rule(routes, RULE_END);
	if (error == 0)
		error = except_server(routes, server);
	if (error == 0)
		error = let_answers_by(routes);
	if (error == 0)
		error = add_rule(routes, RULE_OWN);
	if (error == 0)
		error = block_ipv6(routes);
	if (error == 0)
		error = read_kept(routes);
	if (error == 0)
		error = route_table_set(routes->netlink, routes->config, routes->table,
			routes->ifindex, &routes->kept);
	return fail(error, "make rules and routes");
}

static void on_change(void *context)
{
	struct ip_routes *routes = context;
	struct link link;

	/* where it is gone or down, the client's next round sees to it */
	if (routes->ifindex != 0 && link_get_index(routes->netlink, routes->ifindex, &link) == 0 &&
		(link.flags & IFF_UP) != 0)
		ip_routes_set(routes, routes->ifindex, routes->server);
}

static int watch(struct ip_routes *routes, struct event_base *base)
{
	if (routes->config->n_routes == 0)
		return 0;
	return fail(
		notice_watch_open(base, NETLINK_ROUTE, NOTICES, on_change, routes, &routes->watch),
		"hear of changes of routes");
}

int ip_routes_open(
	struct event_base *base, const struct client_config *config, struct ip_routes **result)
{
	struct ip_routes *routes = calloc(1, sizeof *routes);
	int error;

	if (!routes)
		return -ENOMEM;
	routes->config = config;
	routes->table = table_of(config->interface);
	error = fail(netlink_open(NETLINK_ROUTE, &routes->netlink), "talk to the kernel");
	if (error == 0)
		error = clear(routes);
	if (error == 0)
		error = watch(routes, base);
	if (error < 0) {
		ip_routes_close(routes, true);
		return error;
	}
	*result = routes;
	return 0;
}

void ip_routes_close(struct ip_routes *routes, bool keep)
{
	if (!routes)
		return;
	if (!keep)
		clear(routes);
	notice_watch_close(routes->watch);
	kept_routes_free(&routes->kept);
	netlink_close(routes->netlink);
	free(routes);
}

/* 1, 0 or -errno. */
static int has_any(const struct ip_routes *routes)
{
	const struct route_filter filter = {.table = routes->table};
	auto_free struct rule *rules = NULL;
	auto_free struct route *found = NULL;
	size_t n_rules = 0, n = 0;
	int error = rule_dump(routes->netlink, &rules, &n_rules);

	if (error == 0)
		error = route_dump(routes->netlink, &filter, &found, &n);
	return error < 0 ? error : n > 0 || find_own(routes, rules, n_rules) != 0;
}

int ip_routes_remove(const char *interface, bool dry_run)
{
	const struct client_config config = {.interface = interface};
	struct ip_routes routes = {.config = &config, .table = table_of(interface)};
	int error, found = fail(netlink_open(NETLINK_ROUTE, &routes.netlink), "talk to the kernel");

	if (found < 0)
		return found;
	found = fail(has_any(&routes), "read rules and routes");
	error = found > 0 && !dry_run ? clear(&routes) : 0;
	netlink_close(routes.netlink);
	return error < 0 ? error : found;
}
