/* Compares what the host has for the tunnels with what the server's report says. Runs in
 * `vprox check`. */
#include "check/host_state.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "check/disagreements.h"
#include "check/holders.h"
#include "host/firewall.h"
#include "host/host_config.h"
#include "host/policy_rules.h"
#include "ipc/report.h"
#include "netlink/conntrack.h"
#include "netlink/socket.h"

enum { MAX_ADDRESSES = 16 }; /* with connections and without a holder, that are named */

static const char reloaded[] = "the server writes it again within 5 s; if it does not, see its "
			       "log, and who else changes nftables";
static const char made_again[] = "the server puts it right within 5 s; if it does not, see its log";
static const char leftover_flows[] = "restart the server, which deletes them; those that the host "
				     "itself has begun are harmless";

static int add(struct disagreements *disagreements, struct ipv4 inner, const char *subject,
	const char *fault, const char *remedy)
{
	struct disagreement disagreement = {.inner = inner, .remedy = remedy};

	snprintf(disagreement.subject, sizeof disagreement.subject, "%s", subject);
	snprintf(disagreement.fault, sizeof disagreement.fault, "%s", fault);
	return disagreements_add(disagreements, &disagreement);
}

static int check_firewall(const struct report *report, struct disagreements *disagreements)
{
	uint8_t digest[FIREWALL_DIGEST_SIZE];
	const char *fault = "is not as the server has loaded it";
	int error = firewall_digest(digest);

	if (error == -ENOENT)
		fault = "is not there: nothing guards the tunnels";
	else if (error < 0)
		log_error("cannot read nftables: %s", strerror(-error));
	else if (memcmp(digest, report->header.firewall, sizeof digest) == 0)
		return 0;
	return error < 0 && error != -ENOENT ? error
					     : add(disagreements, (struct ipv4){0},
						       "nftables table ip vprox", fault, reloaded);
}

static int keep_rule(void *context, const char *text, bool is_missing)
{
	char fault[DISAGREEMENT_FAULT_SIZE];

	snprintf(fault, sizeof fault, "\"%s\" is %s", text,
		is_missing ? "missing" : "there, and should not be");
	return add(context, (struct ipv4){0}, "policy rule", fault, made_again);
}

static int compare_rules(const struct host_config *config, struct disagreements *disagreements)
{
	struct netlink *netlink = NULL;
	int error = netlink_open(NETLINK_ROUTE, &netlink);

	if (error == 0)
		error = policy_rules_compare(netlink, config, keep_rule, disagreements);
	if (error < 0)
		log_error("cannot read the policy rules: %s", strerror(-error));
	netlink_close(netlink);
	return error;
}

static int check_rules(const struct report *report, struct disagreements *disagreements)
{
	const uint32_t n = report->header.n_endpoints;
	auto_free struct host_endpoint *endpoints = calloc(n + 1, sizeof *endpoints);
	const struct host_config config = {
		.endpoints = endpoints,
		.n_endpoints = n,
		.whole_block = {report->header.whole_block,
			(uint8_t)report->header.whole_block_length},
		.internal.network = {report->header.internal,
			(uint8_t)report->header.internal_length},
	};

	if (!endpoints)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		endpoints[i] = (struct host_endpoint){
			.index = report->endpoints[i].index,
			.bind = report->endpoints[i].bind,
			.block = {report->endpoints[i].block,
				(uint8_t)report->endpoints[i].block_length},
			.port = (uint16_t)report->endpoints[i].port,
		};
	return compare_rules(&config, disagreements);
}

/* Flows */

struct flow_search {
	const struct report *report;
	uint32_t *held; /* sorted */
	size_t n_held;
	struct ipv4 found[MAX_ADDRESSES];
	size_t n_found;
};

static int compare_values(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

/* Whether a client could have it; the gateway's are the host's own. */
static bool is_inner(const struct report *report, struct ipv4 address)
{
	for (uint32_t i = 0; i < report->header.n_endpoints; i++) {
		const struct report_endpoint *endpoint = &report->endpoints[i];
		const struct prefix block = {endpoint->block, (uint8_t)endpoint->block_length};

		if (prefix_contains(block, address))
			return !ipv4_equal(address, endpoint->gateway);
	}
	return false;
}

/* None is to be deleted. */
static bool look_at_address(void *context, struct ipv4 address)
{
	struct flow_search *search = context;

	if (is_inner(search->report, address) && search->n_found < MAX_ADDRESSES &&
		!bsearch(&address.value, search->held, search->n_held, sizeof *search->held,
			compare_values) &&
		!ipv4_is_among(address, search->found, search->n_found))
		search->found[search->n_found++] = address;
	return false;
}

static int check_flows(const struct report *report, const struct holder_list *table,
	struct disagreements *disagreements)
{
	auto_free uint32_t *held = calloc(table->n + 1, sizeof *held);
	struct flow_search search = {.report = report, .held = held, .n_held = table->n};
	struct conntrack_result result;
	int error = 0;

	if (!held)
		return -ENOMEM;
	for (size_t i = 0; i < table->n; i++)
		held[i] = table->list[i].peer.inner.value;
	qsort(held, table->n, sizeof *held, compare_values);
	/* Without connection tracking there are none; a table that changed meanwhile was seen for
	 * the most part. */
	conntrack_delete(look_at_address, &search, &result);
	for (size_t i = 0; i < search.n_found && error == 0; i++)
		error = add(disagreements, search.found[i], "connection tracking",
			"has connections of this address, which nobody holds", leftover_flows);
	return error;
}

int host_state_check(const struct report *report, const struct holder_list *table,
	struct disagreements *disagreements)
{
	int error = check_firewall(report, disagreements);

	if (error == 0)
		error = check_rules(report, disagreements);
	return error == 0 ? check_flows(report, table, disagreements) : error;
}
