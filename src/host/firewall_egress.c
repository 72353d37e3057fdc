/*
 * Writes the part of the table "ip vprox" that says where what comes out of a tunnel may go.
 * Changes nothing on the host. Runs in the broker.
 */
#include "host/firewall_egress.h"

#include "host/egress_policy.h"
#include "host/firewall_confined.h"
#include "host/firewall_flows.h"
#include "host/host_config.h"

static void write_prefixes(FILE *out, const char *name, const struct egress_prefixes *prefixes)
{
	fprintf(out, "\tset %s {\n\t\ttype ipv4_addr; flags interval; auto-merge\n", name);
	for (size_t i = 0; i < prefixes->n; i++)
		fprintf(out, "%s%s", i == 0 ? "\t\telements = { " : ", ",
			prefix_text(prefixes->list[i]).s);
	fputs(prefixes->n > 0 ? " }\n\t}\n" : "\t}\n", out);
}

static void write_sets(FILE *out, const struct host_config *config)
{
	const struct egress_policy *policy = &config->policy;
	struct egress_prefixes closed;

	egress_policy_default(policy, &closed);
	write_prefixes(out, "closed_to", &closed);
	write_prefixes(out, "allow_to", &policy->opened);
	write_prefixes(out, "deny_to", &policy->closed);
	firewall_write_set_of_peers(out, config, "refusals", "ipv4_addr", "10s");
	firewall_write_set_of_peers(out, config, "themselves", "ipv4_addr . ipv4_addr", "10s");
}

static void write_counters(FILE *out)
{
	static const char *const names[] = {"destination", "host", "protocol", "error", "spoofed",
		"peers", "unasked", "unknown"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		fprintf(out, "\tcounter refused_%s {\n\t}\n", names[i]);
}

/* Which of its clients asks for something hopeless, a program shall know at once and not after
 * minutes; but nobody gets more answers than a program needs. */
static void write_refuse(FILE *out)
{
	fputs("\tchain answer_refused {\n"
	      "\t\tmeta l4proto tcp reject with tcp reset\n"
	      "\t\treject with icmp type admin-prohibited\n"
	      "\t}\n"
	      "\tchain refuse {\n"
	      "\t\tupdate @refusals { ip saddr limit rate 20/second burst 40 packets } "
	      "goto answer_refused\n"
	      "\t\tdrop\n"
	      "\t}\n",
		out);
}

/*
 * An error that a tunnel sends is about a flow that it has: else it could tell the server, or a far
 * end, that another client's path takes only small packets, or is broken. Its flow's owner is the
 * sender of the error. nftables cannot compare two fields of a packet: that a . b is one of the
 * pairs x . x can be looked up, and the one that matters is put there just before.
 */
static void write_errors(FILE *out)
{
	fputs("\tchain errors {\n"
	      "\t\tct state != related counter name refused_error drop\n"
	      "\t\tupdate @themselves { ip saddr . ip saddr }\n"
	      "\t\tip saddr . ct original ip saddr @themselves return\n"
	      "\t\tip saddr . ct original ip daddr @themselves return\n"
	      "\t\tcounter name refused_error drop\n"
	      "\t}\n",
		out);
}

/* SCTP needs connection tracking that knows it, as it has been by default since Linux 5.1; without
 * that it is translated like a protocol without ports. */
static void write_carried(FILE *out, const struct egress_policy *policy)
{
	fputs("\tchain carried {\n"
	      "\t\tip protocol 4 counter name refused_protocol drop\n"
	      "\t\tmeta l4proto != { tcp, udp, icmp, sctp",
		out);
	for (size_t i = 0; i < policy->n_protocols; i++)
		fprintf(out, ", %u", policy->protocols[i]);
	fputs(" } counter name refused_protocol drop\n"
	      "\t\ticmp type != { echo-request, echo-reply, " FIREWALL_ICMP_ERRORS
	      " } counter name refused_protocol drop\n"
	      "\t\tip daddr @gateways icmp type echo-request notrack\n"
	      "\t\tip daddr @binds tcp dport 443 notrack\n"
	      "\t}\n",
		out);
}

/* With the bind address as all else, and by no other interface: another network may have the same
 * addresses. */
static void write_to_internal(FILE *out, const struct internal_network *internal)
{
	const struct prefix_text network = prefix_text(internal->network);

	fprintf(out,
		"\t\tip daddr %s oifname != \"%s\" counter name refused_destination goto refuse\n",
		network.s, internal->interface);
}

/* By where they go in the end: what somebody's NAT has made of the destination counts. Most go to
 * the Internet, and are looked up once. */
static void write_to_network(FILE *out, const struct host_config *config)
{
	const struct internal_network *internal = &config->internal;

	fputs("\tchain to_closed {\n"
	      "\t\tip daddr @allow_to return\n"
	      "\t\tcounter name refused_destination goto refuse\n"
	      "\t}\n"
	      "\tchain to_network {\n",
		out);
	if (config->policy.closed.n > 0)
		fputs("\t\tip daddr @deny_to counter name refused_destination goto refuse\n", out);
	if (internal->network.length > 0)
		write_to_internal(out, internal);
	firewall_write_confined_to(out, config, "", "goto");
	if (internal->network.length > 0)
		fprintf(out, "\t\tip daddr %s return\n", prefix_text(internal->network).s);
	fputs("\t\tip daddr @closed_to goto to_closed\n"
	      "\t}\n",
		out);
}

/* What the host itself has asked for is answered. */
static void write_to_host(FILE *out, const struct host_config *config)
{
	const struct egress_policy *policy = &config->policy;

	fputs("\tchain to_host {\n"
	      "\t\ticmp type { " FIREWALL_ICMP_ERRORS " } goto errors\n"
	      "\t\tct direction reply return\n"
	      "\t\tip daddr @gateways icmp type echo-request return\n"
	      "\t\tip daddr @binds tcp dport 443 return\n",
		out);
	if (policy->n_host_ports > 0)
		firewall_write_confined_to(out, config, "", "jump");
	for (size_t i = 0; i < policy->n_host_ports; i++)
		fprintf(out, "\t\tmeta l4proto { tcp, udp } th dport %u return\n",
			policy->host_ports[i]);
	fputs("\t\tcounter name refused_host goto refuse\n"
	      "\t}\n",
		out);
}

void firewall_write_egress(FILE *out, const struct host_config *config)
{
	write_counters(out);
	write_sets(out, config);
	write_refuse(out);
	write_errors(out);
	write_carried(out, &config->policy);
	firewall_write_confined(out, config);
	write_to_network(out, config);
	write_to_host(out, config);
}
