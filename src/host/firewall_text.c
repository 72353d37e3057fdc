/*
 * Writes the table "ip vprox" in nft's language: what tunnels may do and may not. Changes nothing
 * on the host.
 */
#include "host/firewall_text.h"

#include <stdio.h>

#include "base/text_stream.h"
#include "host/firewall_confined.h"
#include "host/firewall_egress.h"
#include "host/firewall_endpoint.h"
#include "host/firewall_flows.h"
#include "host/firewall_fragments.h"
#include "host/host_config.h"
#include "plane/names.h"

/*
 * What comes out of a tunnel, once its source is known to be right. Outer packets come from
 * outside: else a peer could speak as the server to another client's address, or wind one tunnel
 * around another; those of protocol 4 are dropped among the protocols.
 */
static void write_tunnel_chain(FILE *out)
{
	fputs("\tchain tunnel {\n"
	      "\t\tip daddr { 0.0.0.0/8, 127.0.0.0/8, 224.0.0.0/4, 255.255.255.255 } drop\n"
	      "\t\tfib daddr type { broadcast, multicast } drop\n"
	      "\t\tip daddr . udp dport @listeners drop\n"
	      "\t\tgoto carried\n"
	      "\t}\n",
		out);
}

/*
 * From the interface that IPIP peers share comes what anybody sends to the host by protocol 4. Its
 * filters mark what is a peer's, by inner and outer source together; while somebody has taken them
 * away, nothing is. The mark is for nobody else.
 */
static void write_shared_chain(FILE *out, const struct host_config *config)
{
	if (!config->shares_ipip)
		return;
	fprintf(out,
		"\tchain ipip_shared {\n"
		"\t\tmeta mark != 0x%08x counter name refused_spoofed drop\n"
		"\t\tmeta mark set 0x00000000\n"
		"\t\tip saddr != %s counter name refused_spoofed drop\n"
		"\t\tfib saddr . iif oif missing counter name refused_spoofed drop\n"
		"\t\tgoto tunnel\n"
		"\t}\n",
		PLANE_SHARED_IPIP_MARK, prefix_text(config->whole_block).s);
}

/*
 * While a table is replaced, a packet may meet the new one's rules, and find its sets of intervals
 * empty: the kernel fills those last. What keeps inner sources from passing by compares with the
 * whole block, for then nothing comes out of a tunnel at all.
 */
static void write_prerouting(FILE *out, const struct host_config *config)
{
	/* lo: the host talking to its own inner address. */
	fprintf(out,
		"\tchain prerouting {\n"
		"\t\ttype filter hook prerouting priority raw; policy accept;\n"
		"\t\tiifname vmap @chains\n"
		"\t\tiifname != \"lo\" ip saddr %s counter name refused_spoofed drop\n",
		prefix_text(config->whole_block).s);
	fputs("\t\tip daddr @binds ip protocol 4 notrack\n"
	      "\t\tip daddr @binds tcp dport 443 notrack\n"
	      "\t\tip daddr . udp dport @listeners notrack\n"
	      "\t}\n",
		out);
}

/*
 * The kernel's WireGuard sends what no packet of the peer has come before of, such as the handshake
 * that gives a peer back to a new device, from the address that the route prefers. It gets the
 * source that the peer expects, and is routed anew; where this host has that address no longer, it
 * is dropped. The chain "output" is behind it.
 */
static void write_wireguard_source(FILE *out)
{
	fputs("\tchain wireguard_source {\n"
	      "\t\ttype route hook output priority raw - 1; policy accept;\n"
	      "\t\tudp sport @ports ip saddr . udp sport != @listeners "
	      "ip saddr set udp sport map @bind_of_port fib saddr type != local drop\n"
	      "\t}\n",
		out);
}

/*
 * WireGuard answers from its own address or not at all. That nobody listens for protocol 4 right
 * now is no news for clients: protocol unreachable (2) without any handler, port unreachable (3)
 * from net/ipv4/tunnel4.c; the refused packet's protocol lies 9 bytes into its header, 17 into the
 * message.
 */
static void write_output(FILE *out)
{
	fputs("\tchain output {\n"
	      "\t\ttype filter hook output priority raw; policy accept;\n"
	      "\t\tudp sport @ports ip saddr . udp sport != @listeners drop\n"
	      "\t\tip saddr @binds icmp type destination-unreachable icmp code { 2, 3 } "
	      "@th,136,8 4 drop\n"
	      "\t\tip saddr @binds ip protocol 4 notrack\n"
	      "\t\tip saddr @binds tcp sport 443 notrack\n"
	      "\t\tip saddr @gateways icmp type echo-reply notrack\n"
	      "\t\tip saddr . udp sport @listeners notrack\n"
	      "\t}\n",
		out);
}

#define CLAMP_MSS "tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu\n"

static void write_into_tunnel(FILE *out, const struct host_config *config)
{
	fputs("\tchain into_tunnel {\n"
	      "\t\tct state != { established, related } counter name refused_unasked drop\n",
		out);
	firewall_write_confined_from(out, config, "");
	fputs("\t\t" CLAMP_MSS "\t}\n", out);
}

/* Connection tracking takes any packet for the beginning of a connection. One that goes on in the
 * middle is another client's, or was one's own before its address was freed. */
#define GOES_ON "tcp flags & (fin | syn | rst | ack) != syn ct state new "

/*
 * Where the address has just come to this host, it may be a connection that began on another one,
 * of which this one is about to be told: it is dropped for a while, and sent again, where a reset
 * would end it.
 */
static void write_goes_on(FILE *out, const struct host_config *config)
{
	const struct ipv4 mask = {prefix_mask(config->block_length)};

	fprintf(out,
		"\tset arrived {\n\t\ttype ipv4_addr; flags dynamic, timeout; timeout %ds\n\t}\n"
		"\tchain goes_on {\n"
		"\t\tip saddr & %s @arrived drop\n"
		"\t\treject with tcp reset\n"
		"\t}\n",
		FIREWALL_ARRIVED_S, ipv4_text(mask).s);
}

/* What begins a connection. It is counted for forward_watch.c if it is to leave the host, and then
 * the limits are asked. */
static const char begin_all_to_network[] =
	"\t\tct status & confirmed == 0 counter name new_forwarded jump new_flow\n";
static const char begin_some_to_peers[] =
	"\t\tct status & confirmed == 0 oifname != @tunnels counter name new_forwarded\n"
	"\t\tct status & confirmed == 0 jump new_flow\n";

static void write_out_of_tunnel(FILE *out, const struct host_config *config)
{
	fputs("\tchain out_of_tunnel {\n", out);
	if (!config->allow_peer_to_peer)
		fputs("\t\toifname @tunnels counter name refused_peers drop\n", out);
	fputs("\t\t" GOES_ON "goto goes_on\n"
	      "\t\ticmp type { " FIREWALL_ICMP_ERRORS " } jump errors\n",
		out);
	if (config->allow_peer_to_peer) {
		firewall_write_confined_to(out, config, "oifname @tunnels ", "jump");
		firewall_write_confined_from(out, config, "oifname @tunnels ");
	}
	fprintf(out,
		"\t\t%sjump to_network\n"
		"%s"
		"\t\t" CLAMP_MSS "\t}\n",
		config->allow_peer_to_peer ? "oifname != @tunnels " : "",
		config->allow_peer_to_peer ? begin_some_to_peers : begin_all_to_network);
}

/* Every packet that the host forwards gets here: to look for an interface's name takes more time
 * than all else, so it is done once a direction. */
static void write_forward(FILE *out, const struct host_config *config)
{
	write_into_tunnel(out, config);
	write_out_of_tunnel(out, config);
	fputs("\tchain forward {\n"
	      "\t\ttype filter hook forward priority mangle; policy accept;\n"
	      "\t\tiifname @tunnels goto out_of_tunnel\n"
	      "\t\toifname @tunnels goto into_tunnel\n"
	      "\t}\n",
		out);
}

/*
 * What goes on in a connection of which neither connection tracking nor a socket of the host knows
 * is a client's, tracked by the host that had the address before, or by this one before it was
 * booted: a reset or a "port unreachable" would end it. It is dropped, and sent again until it is
 * known. The tunnels' own packets are untracked, and pass by.
 */
static void write_unknown(FILE *out)
{
	fputs("\tchain unknown {\n"
	      "\t\tsocket wildcard { 0, 1 } return\n"
	      "\t\ttcp flags & (fin | syn | rst | ack) == syn return\n"
	      "\t\tmeta l4proto { tcp, udp } counter name refused_unknown drop\n"
	      "\t}\n",
		out);
}

static void write_input(FILE *out, const struct host_config *config)
{
	if (config->finds_sockets)
		write_unknown(out);
	fputs("\tchain out_of_tunnel_to_host {\n"
	      "\t\t" GOES_ON "goto goes_on\n"
	      "\t\tjump to_host\n"
	      "\t\tct status & confirmed == 0 jump new_flow\n"
	      "\t}\n"
	      "\tchain input {\n"
	      "\t\ttype filter hook input priority mangle; policy accept;\n"
	      "\t\tiifname @tunnels goto out_of_tunnel_to_host\n",
		out);
	if (config->finds_sockets)
		fputs("\t\tct state { invalid, new } ip daddr @binds jump unknown\n", out);
	fputs("\t}\n", out);
}

/*
 * NAT does not change what connection tracking calls invalid, nor untracked packets: they must not
 * leave with an inner source, hence the second chain. A socket of the host itself outlives what was
 * tracked of its connection: what it has to say to a client that has left is not for the next one
 * with that address.
 */
static void write_postrouting(FILE *out, const struct host_config *config)
{
	/* Compared with the whole block: to look into a set takes longer. */
	fprintf(out,
		"\tchain srcnat {\n"
		"\t\ttype nat hook postrouting priority srcnat - 1; policy accept;\n"
		"\t\toifname @tunnels accept\n"
		"\t\toifname \"lo\" accept\n"
		"\t\tip saddr %s counter name new_leaving\n"
		"\t\tgoto source_nat\n"
		"\t}\n"
		"\tchain leaving {\n"
		"\t\ttype filter hook postrouting priority srcnat + 1; policy accept;\n"
		"\t\t" GOES_ON "ip daddr @blocks drop\n",
		prefix_text(config->whole_block).s);
	for (size_t i = 0; i < config->policy.n_host_ports; i++)
		fprintf(out, "\t\tudp sport %u ct state new ip daddr @blocks drop\n",
			config->policy.host_ports[i]);
	fprintf(out,
		"\t\toifname @tunnels accept\n"
		"\t\toifname \"lo\" accept\n"
		"\t\tip saddr %s drop\n"
		"\t}\n",
		prefix_text(config->whole_block).s);
}

typedef void table_fn(FILE *out, const struct host_config *config);

static char *text_of(table_fn *write_table, const struct host_config *config)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return NULL;
	write_table(out, config);
	return text_stream_close(out, &text);
}

static void write_table(FILE *out, const struct host_config *config)
{
	/* The first line so that the second never fails. */
	fputs("table ip vprox\ndelete table ip vprox\ntable ip vprox {\n", out);
	firewall_write_endpoint_sets(out, config);
	firewall_write_egress(out, config);
	firewall_write_flows(out, config);
	firewall_write_fragments(out, config);
	write_tunnel_chain(out);
	firewall_write_endpoint_chains(out, config);
	write_shared_chain(out, config);
	write_prerouting(out, config);
	write_wireguard_source(out);
	write_output(out);
	write_goes_on(out, config);
	write_input(out, config);
	write_forward(out, config);
	write_postrouting(out, config);
	fputs("}\n", out);
}

/* All packets of IPv6 that come in or go out pass one of these two hooks, those of the host itself
 * among them. */
static void write_table_ip6(FILE *out, const struct host_config *config)
{
	fputs("table ip6 vprox\ndelete table ip6 vprox\ntable ip6 vprox {\n", out);
	firewall_write_tunnels(out, config);
	fputs("\tcounter refused_ipv6 {\n\t}\n"
	      "\tchain prerouting {\n"
	      "\t\ttype filter hook prerouting priority raw; policy accept;\n"
	      "\t\tiifname @tunnels counter name refused_ipv6 drop\n"
	      "\t}\n"
	      "\tchain postrouting {\n"
	      "\t\ttype filter hook postrouting priority mangle; policy accept;\n"
	      "\t\toifname @tunnels drop\n"
	      "\t}\n"
	      "}\n",
		out);
}

char *firewall_text(const struct host_config *config)
{
	return text_of(write_table, config);
}

char *firewall_text_ip6(const struct host_config *config)
{
	return text_of(write_table_ip6, config);
}
