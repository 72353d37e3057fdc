/* Loads the table that judges what comes out of the tunnel, and removes it. Runs in the client's
 * one thread, called by its events. */
#include "client/inbound.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text_stream.h"
#include "client/notice_watch.h"
#include "client/own_table.h"

struct inbound {
	const struct client_config *config;
	struct own_table table;
	bool tracks; /* connections; else it cannot tell what an answer is */
	bool is_impossible; /* on this kernel; it was said */
	struct tunnel tunnel; /* zero: none yet */
	struct notice_watch *rules;
};

static const char answers[] = "\tchain answers {\n"
			      "\t\tiifname != \"%s\" accept\n"
			      "\t\tct state established,related accept\n"
			      "\t\tip saddr %s icmp type echo-request accept\n"
			      "\t\tdrop\n"
			      "\t}\n"
			      "\tchain input {\n"
			      "\t\ttype filter hook input priority filter; policy accept;\n"
			      "\t\tjump answers\n"
			      "\t}\n"
			      "\tchain forward {\n"
			      "\t\ttype filter hook forward priority filter; policy accept;\n"
			      "\t\tjump answers\n"
			      "\t}\n";

/* Of what others send through the tunnel, both ways: `rt mtu` is the less of the ways to the two
 * ends (nft(8)). This host's own connections know the interface's MTU. */
static const char clamp[] = "\tchain clamp {\n"
			    "\t\ttype filter hook forward priority mangle; policy accept;\n"
			    "\t\tiifname != \"%s\" oifname != \"%s\" accept\n"
			    "\t\ttcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu\n"
			    "\t}\n";

/* NULL: no memory. The caller frees it. */
static char *write_text(const struct inbound *inbound)
{
	const char *interface = inbound->config->interface;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	/* before connections are tracked */
	fprintf(out,
		"\tchain prerouting {\n"
		"\t\ttype filter hook prerouting priority raw; policy accept;\n"
		"\t\tiifname != \"%s\" accept\n"
		"\t\tip daddr %s accept\n"
		"\t\tdrop\n"
		"\t}\n",
		interface, ipv4_text(inbound->tunnel.inner).s);
	fprintf(out, clamp, interface, interface);
	if (inbound->tracks)
		fprintf(out, answers, interface, ipv4_text(tunnel_gateway(&inbound->tunnel)).s);
	return text_stream_close(out, &text);
}

static int load(struct inbound *inbound, struct nft_error *reason)
{
	auto_free char *text = write_text(inbound);

	snprintf(reason->text, sizeof reason->text, "out of memory");
	return text ? own_table_set(&inbound->table, text, reason) : -ENOMEM;
}

static void on_change(void *context)
{
	struct inbound *inbound = context;
	struct nft_error reason;

	if (inbound->tunnel.length == 0 || inbound->is_impossible)
		return;
	if (load(inbound, &reason) < 0)
		log_error("cannot limit what comes out of the tunnel: %s", reason.text);
	notice_watch_call_in(inbound->rules, own_table_wait_ms(&inbound->table));
}

int inbound_open(
	struct event_base *base, const struct client_config *config, struct inbound **result)
{
	struct inbound *inbound = calloc(1, sizeof *inbound);

	if (!inbound)
		return -ENOMEM;
	inbound->config = config;
	inbound->tracks = !config->allow_inbound;
	inbound->table = own_table_for(INBOUND_PREFIX, config->interface);
	/* A kernel that does not give notices has no tables either: that is said of these. */
	notice_watch_open(base, NETLINK_NETFILTER, 1u << (NFNLGRP_NFTABLES - 1), on_change, inbound,
		&inbound->rules);
	*result = inbound;
	return 0;
}

/* Kernels differ in what they have. Whose destination is not the assigned address is dropped
 * without connection tracking too. */
static int load_less(struct inbound *inbound, const char *reason)
{
	struct nft_error second;

	log_warning("this kernel cannot tell what comes out of the tunnel (nftables: %s): the "
		    "server, and over IPIP whoever forges its address, reaches this host's "
		    "services, and what it forwards to",
		reason);
	inbound->tracks = false;
	inbound->is_impossible = load(inbound, &second) < 0;
	return 0;
}

int inbound_set(struct inbound *inbound, const struct tunnel *tunnel)
{
	struct nft_error reason;
	int error;

	/* In a network namespace of its own it would not be seen by this one's rules. */
	if (inbound->is_impossible || inbound->config->netns)
		return 0;
	inbound->tunnel = *tunnel;
	error = load(inbound, &reason);
	if (error == -EIO && !inbound->table.text)
		return load_less(inbound, reason.text);
	if (error < 0)
		log_error("cannot limit what comes out of the tunnel: %s", reason.text);
	return error;
}

static int take_away(struct own_table *table)
{
	struct nft_error reason;
	int error = own_table_remove(table, &reason);

	if (error < 0)
		log_error("cannot remove the nftables table inet %s: %s", table->name, reason.text);
	return error;
}

void inbound_close(struct inbound *inbound, bool keep)
{
	if (!inbound)
		return;
	notice_watch_close(inbound->rules);
	if (!keep)
		take_away(&inbound->table);
	own_table_forget(&inbound->table);
	free(inbound);
}

int inbound_remove(const char *interface, bool dry_run)
{
	struct own_table table = own_table_for(INBOUND_PREFIX, interface);
	int error;

	if (if_nametoindex(interface) != 0 || own_table_exists(&table) <= 0)
		return 0;
	error = dry_run ? 0 : take_away(&table);
	if (error < 0)
		return error;
	log_info("%s the nftables table inet %s of a client of %s",
		dry_run ? "would remove" : "removed", table.name, interface);
	return 1;
}
