/* Writes the table of a client's block in nft's language. Runs in the client. */
#include "client/block_text.h"

#include <stdio.h>

#include "base/text_stream.h"
#include "client/mark.h"

/* The end of each chain judges what the chain "pass" has not let by. */
static const char hooks[] = "\tchain output {\n"
			    "\t\ttype filter hook output priority filter; policy accept;\n"
			    "\t\tjump pass\n"
			    "\t\treject with icmpx type no-route\n"
			    "\t}\n"
			    "\tchain forward {\n"
			    "\t\ttype filter hook forward priority filter; policy accept;\n"
			    "\t\tjump pass\n"
			    "\t\treject with icmpx type no-route\n"
			    "\t}\n"
			    /* What another program's NAT or mark has sent another way since.
			       Nothing can be refused here. */
			    "\tchain postrouting {\n"
			    "\t\ttype filter hook postrouting priority filter; policy accept;\n"
			    "\t\tjump pass\n"
			    "\t\tdrop\n"
			    "\t}\n";

/* end: behind the last. Of nothing it writes nothing. */
static void write_element(FILE *out, uint64_t first, uint64_t end, size_t *n)
{
	if (first >= end)
		return;
	fprintf(out, "%s%s", *n == 0 ? "\t\telements = { " : ", ",
		ipv4_text((struct ipv4){(uint32_t)first}).s);
	if (end - first > 1)
		fprintf(out, "-%s", ipv4_text((struct ipv4){(uint32_t)(end - 1)}).s);
	++*n;
}

/* What is blocked, or all the rest. */
static void write_set(FILE *out, const char *name, const struct block_state *state, bool rest)
{
	uint64_t behind = 0;
	size_t n = 0;

	fprintf(out, "\tset %s {\n\t\ttype ipv4_addr\n\t\tflags interval\n", name);
	for (size_t i = 0; i < state->n_ranges; i++) {
		const uint64_t first = state->ranges[i].first.value;
		const uint64_t end = (uint64_t)state->ranges[i].last.value + 1;

		write_element(out, rest ? behind : first, rest ? first : end, &n);
		behind = end;
	}
	if (rest)
		write_element(out, behind, (uint64_t)UINT32_MAX + 1, &n);
	fprintf(out, "%s\t}\n", n > 0 ? " }\n" : "");
}

/* Of IPv6: not a set, see write_pass(). */
static const char not_of_a_link[] = "ip6 saddr != fe80::/10";
static const char in_its_midst[] = "ct state new tcp flags & (fin | syn | rst | ack) != syn";

static bool blocks_ipv6(const struct block_state *state)
{
	return state->config->ipv6 == IPV6_BLOCK && blocked_ranges_has_all(state->config);
}

/* From outside to a container's published port. All that containers send has that mark too: so only
 * what NAT has led here, and what cannot go on to the Internet (RFC 4193). */
static void write_published(FILE *out)
{
	fprintf(out,
		"\t\tip6 daddr fc00::/7 ct direction original ct status dnat "
		"ct mark and 0x%08x == 0x%08x accept\n",
		CLIENT_OUTSIDE_BIT, CLIENT_OUTSIDE_BIT);
}

/* Link-local destinations and neighbour discovery, as RFC 4861 has it, stay; so programs fall back
 * to IPv4 at once. */
static void write_ipv6(FILE *out, const struct block_state *state)
{
	if (!blocks_ipv6(state)) {
		fputs("\t\tmeta nfproto ipv6 accept\n", out);
		return;
	}
	fputs("\t\tip6 daddr { fe80::/10, ff02::/16 } accept\n"
	      "\t\ticmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, "
	      "nd-neighbor-advert } ip6 hoplimit 255 accept\n",
		out);
	if (state->tracks)
		write_published(out);
}

/*
 * Kernels fill a set of intervals only after they have switched over to the table that it is in.
 * So nothing may pass, or be taken for one from outside, because it is not in a set.
 */
static void write_pass(FILE *out, const struct block_state *state)
{
	fprintf(out,
		"\tchain pass {\n"
		"\t\toifname { \"lo\", \"%s\" } accept\n"
		"\t\tmeta mark 0x%08x accept\n",
		state->config->interface, CLIENT_FWMARK);
	if (state->tracks)
		fprintf(out, "\t\tct direction reply ct mark and 0x%08x == 0x%08x accept\n",
			CLIENT_OUTSIDE_BIT, CLIENT_OUTSIDE_BIT);
	if (state->ipip_server.value != 0)
		fprintf(out, "\t\tip daddr %s ip protocol 4 accept\n",
			ipv4_text(state->ipip_server).s);
	/* what stays on a link, or within a site: RFC 919, RFC 5771, RFC 2365 */
	fputs("\t\tip daddr { 224.0.0.0/24, 239.0.0.0/8, 255.255.255.255 } accept\n"
	      "\t\tip daddr @open accept\n",
		out);
	write_ipv6(out, state);
	fputs("\t}\n", out);
}

/*
 * What comes from where the tunnel leads to, and not out of the tunnel, is marked, in its
 * connection and by packet: policy rules have the answers leave the way that it came (ip_routes.h).
 *
 * The kernel takes up a TCP connection in its midst, as it does with those that were there before
 * it was told to track. If it has begun here, it must not be taken for one from outside: nobody is
 * known to serve at the ports that such connections have.
 */
static void write_marks(FILE *out, const struct block_state *state)
{
	const bool ipv6 = blocks_ipv6(state);

	fprintf(out,
		"\tchain prerouting {\n"
		"\t\ttype filter hook prerouting priority mangle; policy accept;\n"
		"\t\tiifname { \"lo\", \"%s\" } accept\n"
		"\t\tip protocol 4 accept\n"
		"\t\tip saddr @blocked ct direction original ct mark set ct mark or 0x%08x\n",
		state->config->interface, CLIENT_OUTSIDE_BIT);
	if (ipv6)
		fprintf(out, "\t\t%s ct direction original ct mark set ct mark or 0x%08x\n",
			not_of_a_link, CLIENT_OUTSIDE_BIT);
	fprintf(out,
		"\t\tct mark and 0x%08x == 0x%08x meta mark set meta mark or 0x%08x\n"
		"\t}\n",
		CLIENT_OUTSIDE_BIT, CLIENT_OUTSIDE_BIT, CLIENT_OUTSIDE_BIT);
	fprintf(out,
		"\tchain input {\n"
		"\t\ttype filter hook input priority filter; policy accept;\n"
		"\t\tiifname { \"lo\", \"%s\" } accept\n"
		"\t\tip saddr != @open %s tcp dport %d-%d drop\n",
		state->config->interface, in_its_midst, state->local.first, state->local.last);
	if (ipv6)
		fprintf(out, "\t\t%s %s tcp dport %d-%d drop\n", not_of_a_link, in_its_midst,
			state->local.first, state->local.last);
	fputs("\t}\n", out);
}

char *block_text(const struct block_state *state)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	write_set(out, "blocked", state, false);
	write_set(out, "open", state, true);
	write_pass(out, state);
	fputs(hooks, out);
	if (state->tracks)
		write_marks(out, state);
	return text_stream_close(out, &text);
}
