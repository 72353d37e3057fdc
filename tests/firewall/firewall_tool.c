/*
 * The firewall's functions for the tests beside this: reads one command a line from standard input
 * and answers each with a line "done RESULT".
 *
 * usage: firewall-tool [--allow-peer-to-peer] [--allow-link-local] [--ipip-mode=shared]
 *                      [--allow-to=CIDR...]
 *                      [--deny-to=CIDR...] [--allow-to-host=PORT...] [--allow-protocol=N...]
 *                      WHOLE-BLOCK
 *                      INDEX,BIND,BLOCK,PORT...
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netlink.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "netlink/socket.h"
#include "host/bind_address.h"
#include "host/firewall.h"
#include "host/firewall_flows.h"
#include "host/firewall_inputs.h"
#include "host/firewall_text.h"
#include "host/foreign_firewall.h"
#include "host/forward_watch.h"
#include "host/go_leftovers.h"
#include "host/host_config.h"
#include "nftables/nft.h"
#include "host/policy_rules.h"
#include "host/sysctls.h"

enum {
	MAX_ENDPOINTS = 64,
	LINE_SIZE = 256,
};

struct tool {
	struct host_endpoint endpoints[MAX_ENDPOINTS];
	struct host_config config;
	struct firewall_state state;
	struct foreign_firewall *foreign;
	struct forward_watch forward_watch;
	struct bind_address bind; /* the first endpoint's */
	struct netlink *netlink;
};

static int parse_endpoint(char *text, struct host_endpoint *endpoint)
{
	char *index = strsep(&text, ",");
	char *bind = strsep(&text, ",");
	char *block = strsep(&text, ",");

	if (!text)
		return -EINVAL;
	endpoint->index = (unsigned int)strtoul(index, NULL, 10);
	endpoint->port = (uint16_t)strtoul(text, NULL, 10);
	return ipv4_parse(bind, &endpoint->bind) < 0 || prefix_parse(block, &endpoint->block) < 0
		       ? -EINVAL
		       : 0;
}

/* "--allow-to=CIDR" and the like. */
static int parse_policy(struct egress_policy *policy, const char *argument)
{
	const char *value = strchr(argument, '=');
	struct prefix prefix;

	if (!value++)
		return -EINVAL;
	if (strncmp(argument, "--allow-to-host=", (size_t)(value - argument)) == 0)
		policy->host_ports[policy->n_host_ports++] = (uint16_t)atoi(value);
	else if (strncmp(argument, "--allow-protocol=", (size_t)(value - argument)) == 0)
		policy->protocols[policy->n_protocols++] = (uint8_t)atoi(value);
	else if (strncmp(argument, "--max-flows-per-peer=", (size_t)(value - argument)) == 0)
		policy->max_flows_per_peer = (unsigned int)atoi(value);
	else if (prefix_parse(value, &prefix) < 0)
		return -EINVAL;
	else if (strncmp(argument, "--allow-to=", (size_t)(value - argument)) == 0)
		return egress_prefixes_add(&policy->opened, prefix);
	else if (strncmp(argument, "--deny-to=", (size_t)(value - argument)) == 0)
		return egress_prefixes_add(&policy->closed, prefix);
	else
		return -EINVAL;
	return 0;
}

static int parse_arguments(struct tool *tool, int argc, char **argv)
{
	int i = 1;

	tool->config.policy.max_flows_per_peer = 2048;
	tool->config.finds_sockets = firewall_can_find_sockets();
	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--allow-peer-to-peer") == 0)
			tool->config.allow_peer_to_peer = true;
		else if (strcmp(argv[i], "--allow-link-local") == 0)
			tool->config.policy.allow_link_local = true;
		else if (strcmp(argv[i], "--ipip-mode=shared") == 0)
			tool->config.shares_ipip = true;
		else if (parse_policy(&tool->config.policy, argv[i]) < 0)
			return -EINVAL;
	}
	if (i == argc || prefix_parse(argv[i++], &tool->config.whole_block) < 0)
		return -EINVAL;
	tool->config.endpoints = tool->endpoints;
	for (; i < argc && tool->config.n_endpoints < MAX_ENDPOINTS; i++)
		if (parse_endpoint(argv[i], &tool->endpoints[tool->config.n_endpoints++]) < 0)
			return -EINVAL;
	return tool->config.n_endpoints > 0 ? 0 : -EINVAL;
}

static int print_text(struct tool *tool)
{
	auto_free char *text = firewall_text(&tool->config);
	auto_free char *ip6 = firewall_text_ip6(&tool->config);

	return text && ip6 && printf("%s%s", text, ip6) >= 0 ? 0 : -ENOMEM;
}

static int load(struct tool *tool)
{
	return firewall_load(&tool->config, &tool->state);
}

static int reconcile(struct tool *tool)
{
	return firewall_reconcile(&tool->config, &tool->state);
}

static int remove_own(struct tool *tool)
{
	(void)tool;
	return firewall_remove();
}

static int close_new_flows(struct tool *tool)
{
	struct nft_error reason;

	(void)tool;
	return nft_run(firewall_close_new_flows, &reason);
}

static int open_new_flows(struct tool *tool)
{
	struct nft_error reason;

	(void)tool;
	return nft_run(firewall_open_new_flows, &reason);
}

static int report_inputs(struct tool *tool)
{
	firewall_report_closed_inputs(&tool->config);
	return 0;
}

static int foreign_reconcile(struct tool *tool)
{
	if (!tool->foreign)
		tool->foreign = foreign_firewall_new(NULL, &tool->config);
	if (!tool->foreign)
		return -ENOMEM;
	foreign_firewall_reconcile(tool->foreign);
	return 0;
}

static int forward_watch(struct tool *tool)
{
	forward_watch_check(&tool->forward_watch,
		tool->foreign ? foreign_firewall_legacy(tool->foreign) : NULL);
	return 0;
}

static int foreign_stop(struct tool *tool)
{
	foreign_firewall_free(tool->foreign, false);
	tool->foreign = NULL;
	return 0;
}

static int foreign_keep(struct tool *tool)
{
	foreign_firewall_free(tool->foreign, true);
	tool->foreign = NULL;
	return 0;
}

static int remove_go_leftovers(struct tool *tool)
{
	(void)tool;
	go_leftovers_remove(false);
	return 0;
}

static int address_reconcile(struct tool *tool)
{
	return bind_address_reconcile(tool->netlink, &tool->bind);
}

static int address_keep(struct tool *tool)
{
	return bind_address_keep(tool->netlink, &tool->bind);
}

static int address_undo(struct tool *tool)
{
	return bind_address_undo(tool->netlink, &tool->bind);
}

static int address_remove(struct tool *tool)
{
	return bind_address_remove(tool->netlink, &tool->bind);
}

static int rules_reconcile(struct tool *tool)
{
	return policy_rules_reconcile(tool->netlink, &tool->config);
}

static int rules_remove(struct tool *tool)
{
	int removed = policy_rules_remove(tool->netlink, false);

	return removed < 0 ? removed : 0;
}

static int sysctls(struct tool *tool)
{
	return sysctls_prepare(tool->netlink, &tool->config);
}

static const struct {
	const char *name;
	int (*run)(struct tool *tool);
} commands[] = {
	{"text", print_text},
	{"load", load},
	{"reconcile", reconcile},
	{"remove", remove_own},
	{"close-new-flows", close_new_flows},
	{"open-new-flows", open_new_flows},
	{"inputs", report_inputs},
	{"foreign-reconcile", foreign_reconcile},
	{"foreign-stop", foreign_stop},
	{"forward-watch", forward_watch},
	{"foreign-keep", foreign_keep},
	{"go-leftovers", remove_go_leftovers},
	{"address-reconcile", address_reconcile},
	{"address-keep", address_keep},
	{"address-undo", address_undo},
	{"address-remove", address_remove},
	{"rules-reconcile", rules_reconcile},
	{"rules-remove", rules_remove},
	{"sysctls", sysctls},
};

static int run(struct tool *tool, const char *name)
{
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (strcmp(commands[i].name, name) == 0)
			return commands[i].run(tool);
	return -EINVAL;
}

int main(int argc, char **argv)
{
	struct tool tool = {0};
	char line[LINE_SIZE];

	if (parse_arguments(&tool, argc, argv) < 0) {
		fprintf(stderr, "firewall-tool: bad arguments\n");
		return 2;
	}
	tool.bind.address = tool.endpoints[0].bind;
	if (netlink_open(NETLINK_ROUTE, &tool.netlink) < 0)
		return 1;
	while (fgets(line, sizeof line, stdin)) {
		line[strcspn(line, "\n")] = '\0';
		printf("done %d\n", run(&tool, line));
		fflush(stdout);
	}
	foreign_firewall_free(tool.foreign, true);
	netlink_close(tool.netlink);
	return 0;
}
