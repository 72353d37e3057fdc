/*
 * Writes the part of the table "ip vprox" that limits what one client takes: source ports after
 * NAT, new connections a second, connections at a time. Changes nothing on the host. Runs in the
 * broker.
 */
#include "host/firewall_flows.h"

#include <inttypes.h>

#include "host/host_config.h"

enum {
	MOST_PEERS = 1 << 20, /* at a time; the kernel takes memory for as many at once */

	/* A peer's flow must never be taken for one of the server's own: its source port after NAT
	 * is none of the well-known ports, 443 among them, and none of WireGuard's, 50227 upwards.
	 */
	FIRST_PORT = 1024,
	N_PORTS = 50227 - FIRST_PORT,
	N_ECHO_IDENTIFIERS = 1 << 16,
	MOST_SLICES = 16,

	NEW_FLOWS_PER_SECOND = 1000, /* of one peer */
	/* How many sampled connections stand for half of those that a peer may have, at least. */
	LEAST_SAMPLED = 64,
};

#define TEXT_(number) #number
#define TEXT(number) TEXT_(number)
#define CLOSED_SECONDS 15

_Static_assert(CLOSED_SECONDS == FIREWALL_CLOSED_S, "the header has the same");

/* With a timeout: a broker that dies leaves nothing closed. Adding an element that is there would
 * not begin its time anew. */
#define CLOSE "add element ip vprox closed { ip timeout " TEXT(CLOSED_SECONDS) "s }\n"
#define OPEN "add element ip vprox closed { ip }\ndelete element ip vprox closed { ip }\n"

const char firewall_open_new_flows[] = OPEN;
const char firewall_close_new_flows[] = OPEN CLOSE;

uint64_t firewall_peers_room(const struct host_config *config)
{
	uint64_t n = 0;

	for (size_t i = 0; i < config->n_endpoints; i++)
		n += prefix_size(config->endpoints[i].block);
	/* Where more endpoints may come, the blocks of all of them lie in this one. */
	if (config->max_endpoints > config->n_endpoints)
		n = prefix_size(config->whole_block);
	return n < MOST_PEERS ? n : MOST_PEERS;
}

void firewall_write_set_of_peers(FILE *out, const struct host_config *config, const char *name,
	const char *type, const char *timeout)
{
	fprintf(out, "\tset %s {\n\t\ttype %s; size %" PRIu64 "; flags dynamic", name, type,
		firewall_peers_room(config));
	if (timeout)
		fprintf(out, ", timeout; timeout %s", timeout);
	fputs("\n\t}\n", out);
}

static void write_limit_sets(FILE *out, const struct host_config *config)
{
	fprintf(out,
		"\tcounter refused_rate {\n\t}\n"
		"\tcounter refused_flows {\n\t}\n"
		"\tcounter refused_full {\n\t}\n"
		"\tcounter new_forwarded {\n\t}\n"
		"\tcounter new_leaving {\n\t}\n"
		"\tset closed {\n\t\ttype ether_type; flags dynamic, timeout; timeout %ds\n\t}\n",
		FIREWALL_CLOSED_S);
	firewall_write_set_of_peers(out, config, "rates", "ipv4_addr", "10s");
	firewall_write_set_of_peers(out, config, "heavy", "ipv4_addr", "1h");
	firewall_write_set_of_peers(out, config, "over", "ipv4_addr", "1s");
	firewall_write_set_of_peers(out, config, "sampled", "ipv4_addr", NULL);
	firewall_write_set_of_peers(out, config, "counted", "ipv4_addr", NULL);
}

/* So few are all counted. */
static void write_count_of_all(FILE *out, unsigned int most)
{
	fprintf(out,
		"\tchain count {\n"
		"\t\tadd @counted { ip saddr ct count over %u } goto too_many\n"
		"\t}\n",
		most);
}

/*
 * Of the connections that `ct count` has counted the kernel keeps a list, and walks it up to once a
 * jiffy: at 2,000 that would take longer than all else that a packet needs. So only a random sample
 * is counted. Whose sample says that it has half of what it may have is a heavy user for an hour:
 * of its connections from then on each is counted, and there may be as many as the other half.
 */
static void write_count_by_sample(FILE *out, unsigned int most)
{
	const unsigned int half = most / 2, one_of = half / LEAST_SAMPLED;

	fprintf(out,
		"\tchain count_each {\n"
		"\t\tadd @counted { ip saddr ct count over %u } goto too_many\n"
		"\t}\n"
		"\tchain count {\n"
		"\t\tip saddr @heavy goto count_each\n"
		"\t\tnumgen random mod %u 0 add @sampled { ip saddr ct count over %u } "
		"update @heavy { ip saddr } goto count_each\n"
		"\t}\n",
		half, one_of, half / one_of);
}

/* For a packet whose connection is not in the kernel's table yet: what is confirmed has been here
 * before, though connection tracking calls it new until it is answered. */
static void write_new_flow(FILE *out, const struct host_config *config)
{
	const unsigned int most = config->policy.max_flows_per_peer;

	/* Of somebody who has too many no more are counted for a second. */
	fputs("\tchain too_many {\n"
	      "\t\tcounter name refused_flows\n"
	      "\t\tadd @over { ip saddr }\n"
	      "\t\tupdate @heavy { ip saddr } goto refuse\n"
	      "\t\tgoto refuse\n"
	      "\t}\n",
		out);
	if (most < 4 * LEAST_SAMPLED)
		write_count_of_all(out, most);
	else
		write_count_by_sample(out, most);
	fprintf(out,
		"\tchain new_flow {\n"
		"\t\tmeta protocol @closed counter name refused_full goto refuse\n"
		"\t\tip saddr @over counter name refused_flows goto refuse\n"
		"\t\tupdate @rates { ip saddr limit rate over %d/second burst %d packets } "
		"counter name refused_rate goto refuse\n"
		"\t\tgoto count\n"
		"\t}\n",
		NEW_FLOWS_PER_SECOND, 2 * NEW_FLOWS_PER_SECOND);
}

/* A power of two. A slice holds what a peer may have, so that nobody uses one up alone. */
static unsigned int number_of_slices(const struct host_config *config)
{
	unsigned int n = MOST_SLICES;

	while (n > 1 && N_PORTS / n < config->policy.max_flows_per_peer)
		n /= 2;
	return n;
}

static void write_slice(FILE *out, unsigned int i, unsigned int n)
{
	const unsigned int ports = N_PORTS / n, identifiers = N_ECHO_IDENTIFIERS / n;

	fprintf(out,
		"\tchain slice_%u {\n"
		"\t\tmeta l4proto { tcp, udp, sctp } snat to ip saddr map @bind_of : %u-%u\n"
		"\t\tmeta l4proto icmp snat to ip saddr map @bind_of : %u-%u\n"
		"\t\tsnat to ip saddr map @bind_of\n"
		"\t}\n",
		i, FIRST_PORT + i * ports, FIRST_PORT + (i + 1) * ports - 1, i * identifiers,
		(i + 1) * identifiers - 1);
}

/*
 * To one destination there is only one flow from a port. So that nobody takes all ports to
 * somewhere, each has a slice of them, by the last bits of the inner address: addresses are given
 * out one after the other, and those that are in use are spread evenly over the slices that way.
 */
static void write_source_nat(FILE *out, const struct host_config *config)
{
	const unsigned int n = number_of_slices(config);

	for (unsigned int i = 0; i < n; i++)
		write_slice(out, i, n);
	fputs("\tchain source_nat {\n", out);
	if (n == 1)
		fputs("\t\tgoto slice_0\n", out);
	for (unsigned int i = 0; n > 1 && i < n; i++) {
		if (i == 0)
			fprintf(out, "\t\tip saddr & 0.0.0.%u vmap { ", n - 1);
		fprintf(out, "0.0.0.%u : goto slice_%u%s", i, i, i + 1 < n ? ", " : " }\n");
	}
	fputs("\t}\n", out);
}

void firewall_write_flows(FILE *out, const struct host_config *config)
{
	write_limit_sets(out, config);
	write_new_flow(out, config);
	write_source_nat(out, config);
}
