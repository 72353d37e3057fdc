/*
 * What tunnels may reach by default, and the log line that says what they may reach in all. Runs in
 * the broker at its start, and where its command line is read.
 */
#include "host/egress_policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"

static const struct prefix link_local = {{0xa9fe0000}, 16}; /* 169.254.0.0/16 */

void egress_policy_default(const struct egress_policy *policy, struct egress_prefixes *closed)
{
	static const struct prefix always[] = {
		{{0x0a000000}, 8}, /* 10.0.0.0/8 */
		{{0xac100000}, 12}, /* 172.16.0.0/12 */
		{{0xc0a80000}, 16}, /* 192.168.0.0/16 */
		{{0x64400000}, 10}, /* 100.64.0.0/10 */
		{{0xc0000000}, 24}, /* 192.0.0.0/24 */
		{{0xa83f8110}, 32}, /* 168.63.129.16 */
	};

	closed->n = 0;
	for (size_t i = 0; i < sizeof always / sizeof *always; i++)
		closed->list[closed->n++] = always[i];
	if (!policy->allow_link_local)
		closed->list[closed->n++] = link_local;
}

bool egress_policy_never(struct prefix prefix)
{
	static const struct prefix never[] = {
		{{0}, 8}, {{0x7f000000}, 8}, {{0xe0000000}, 4}, {{0xffffffff}, 32}};

	for (size_t i = 0; i < sizeof never / sizeof *never; i++)
		if (prefix.length >= never[i].length && prefix_contains(never[i], prefix.address))
			return true;
	return false;
}

int egress_prefixes_add(struct egress_prefixes *prefixes, struct prefix prefix)
{
	if (prefixes->n == EGRESS_MAX_PREFIXES)
		return -ENOSPC;
	prefixes->list[prefixes->n++] = prefix;
	return 0;
}

static void write_prefixes(FILE *out, const char *before, const struct egress_prefixes *prefixes)
{
	for (size_t i = 0; i < prefixes->n; i++)
		fprintf(out, "%s%s", i == 0 ? before : ", ", prefix_text(prefixes->list[i]).s);
}

static void write_policy(FILE *out, const struct egress_policy *policy)
{
	struct egress_prefixes closed;

	egress_policy_default(policy, &closed);
	fputs("tunnels reach the Internet", out);
	write_prefixes(out, ", and ", &policy->opened);
	write_prefixes(out, "; not ", &closed);
	write_prefixes(out, ", nor at all ", &policy->closed);
	fputs("; of this host the gateway's ping and TCP 443", out);
	for (size_t i = 0; i < policy->n_host_ports; i++)
		fprintf(out, ", port %u", policy->host_ports[i]);
	fputs("; by TCP, UDP, SCTP, ICMP echo", out);
	for (size_t i = 0; i < policy->n_protocols; i++)
		fprintf(out, ", protocol %u", policy->protocols[i]);
	fprintf(out, "; each has at most %u connections", policy->max_flows_per_peer);
}

void egress_policy_log(const struct egress_policy *policy)
{
	auto_free char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return;
	write_policy(out, policy);
	if (fclose(out) == 0)
		log_info("%s", text);
}
