/* Loads the client's block, keeps it in step with the host's networks, and removes it. Runs in the
 * client's one thread; before its event loop, called by its events, and at its end. */
#include "client/egress_block.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/rights.h"
#include "base/sysctl.h"
#include "client/block_text.h"
#include "client/kept_routes.h"
#include "client/local_ports.h"
#include "client/notice_watch.h"
#include "client/own_table.h"
#include "netlink/socket.h"

struct egress_block {
	const struct client_config *config;
	struct own_table table;
	bool was_there; /* at the start: an earlier client's, or the service's */
	bool tracks;
	struct tunnel tunnel; /* zero: none yet */
	struct notice_watch *routes, *rules;
};

static bool is_wanted(const struct client_config *config)
{
	return config->n_routes > 0 && !config->no_block && config->block != BLOCK_OPEN;
}

static int read_ranges(const struct egress_block *block, struct address_range **ranges, size_t *n)
{
	struct kept_routes kept = {0};
	struct netlink *netlink;
	int error = netlink_open(NETLINK_ROUTE, &netlink);

	if (error < 0)
		return error;
	error = kept_routes_read(
		netlink, block->config, if_nametoindex(block->config->interface), &kept);
	if (error == 0)
		error = blocked_ranges(block->config, &kept, ranges, n);
	kept_routes_free(&kept);
	netlink_close(netlink);
	return error;
}

/* As nft has it, by what there is now. */
static int write_text(const struct egress_block *block, char **text)
{
	const struct client_config *config = block->config;
	auto_free struct address_range *ranges = NULL;
	struct block_state state = {.config = config, .tracks = block->tracks};
	int error = read_ranges(block, &ranges, &state.n_ranges);

	if (error < 0)
		return error;
	state.ranges = ranges;
	if (config->tunnel == TUNNEL_IPIP)
		state.ipip_server = block->tunnel.server;
	state.local = local_ports_read();
	*text = block_text(&state);
	return *text ? 0 : -ENOMEM;
}

static int load(struct egress_block *block)
{
	struct nft_error reason = {"out of memory"};
	auto_free char *text = NULL;
	int error = write_text(block, &text);

	if (error == 0)
		error = own_table_set(&block->table, text, &reason);
	else
		snprintf(reason.text, sizeof reason.text, "%s", strerror(-error));
	if (error < 0)
		log_error("--route: cannot block what goes beside the tunnel: %s", reason.text);
	return error;
}

/* Kernels differ in what they have. Without connection tracking it blocks all the same. */
static int load_first(struct egress_block *block)
{
	struct nft_error reason = {""}, first = {"out of memory"};
	auto_free char *full = NULL, *text = NULL;
	int error = write_text(block, &full);

	if (error == 0)
		error = own_table_set(&block->table, full, &first);
	if (error < 0 && error != -EIO)
		log_error("--route: cannot block what goes beside the tunnel: %s", first.text);
	if (error != -EIO)
		return error;
	block->tracks = false;
	error = write_text(block, &text);
	if (error == 0)
		error = own_table_set(&block->table, text, &reason);
	if (error < 0)
		log_error("--route: this kernel cannot block what goes beside the tunnel "
			  "(nftables: %s); --no-block routes without that",
			error == -EIO ? first.text : strerror(-error));
	else
		log_warning("this kernel cannot track connections (nftables: %s): with --route, "
			    "what comes from outside is not answered",
			first.text);
	return error == -EIO ? -EOPNOTSUPP : error;
}

/* For the strict check of source addresses, which is to obey the mark of what comes from outside:
 * else it drops what goes on to a container. */
static void prepare_settings(void)
{
	const struct sysctl_path path = sysctl_of_interface("ipv4", "all", "src_valid_mark");
	int value, error = sysctl_read(path.s, &value);

	if (error == 0 && value == 0)
		error = sysctl_write(path.s, 1);
	if (error < 0)
		log_warning(
			"cannot set net.ipv4.conf.all.src_valid_mark to 1: %s", strerror(-error));
}

static void on_change(void *context)
{
	struct egress_block *block = context;

	load(block);
	notice_watch_call_in(block->rules, own_table_wait_ms(&block->table));
}

static int watch(struct egress_block *block, struct event_base *base)
{
	int error = notice_watch_open(
		base, NETLINK_ROUTE, RTMGRP_IPV4_ROUTE, on_change, block, &block->routes);

	if (error == 0)
		error = notice_watch_open(base, NETLINK_NETFILTER, 1u << (NFNLGRP_NFTABLES - 1),
			on_change, block, &block->rules);
	if (error < 0)
		log_error("--route: cannot hear of changes: %s", strerror(-error));
	return error;
}

static int open_way(struct egress_block *block)
{
	struct nft_error reason;
	int error = own_table_remove(&block->table, &reason);

	if (error < 0)
		log_error("--route: cannot remove the nftables table inet %s: %s",
			block->table.name, reason.text);
	return error;
}

int egress_block_remove(const char *interface, bool dry_run)
{
	struct egress_block block = {.table = own_table_for(EGRESS_BLOCK_PREFIX, interface)};
	int error, found = own_table_exists(&block.table);

	if (found < 0)
		log_error("cannot look for the nftables table inet %s: %s", block.table.name,
			strerror(-found));
	if (found <= 0)
		return found;
	error = dry_run ? 0 : open_way(&block);
	if (error < 0)
		return error;
	log_info("%s the nftables table inet %s, which blocked what a client of %s routed",
		dry_run ? "would remove" : "removed", block.table.name, interface);
	return 1;
}

static int begin(struct egress_block *block, struct event_base *base)
{
	int error;

	if (!is_wanted(block->config))
		return open_way(block);
	error = load_first(block);
	if (error < 0)
		return error;
	prepare_settings();
	return base ? watch(block, base) : 0;
}

int egress_block_open(
	struct event_base *base, const struct client_config *config, struct egress_block **result)
{
	struct egress_block *block = calloc(1, sizeof *block);
	int error;

	if (!block)
		return -ENOMEM;
	block->config = config;
	block->tracks = true;
	block->table = own_table_for(EGRESS_BLOCK_PREFIX, config->interface);
	block->was_there = own_table_exists(&block->table) == 1;
	error = begin(block, base);
	if (error < 0) {
		egress_block_close(block, EGRESS_BLOCK_AS_FOUND);
		return error;
	}
	*result = block;
	return 0;
}

int egress_block_set(struct egress_block *block, const struct tunnel *tunnel)
{
	block->tunnel = *tunnel;
	return is_wanted(block->config) ? load(block) : 0;
}

void egress_block_close(struct egress_block *block, enum egress_block_end end)
{
	if (!block)
		return;
	notice_watch_close(block->routes);
	notice_watch_close(block->rules);
	if (end == EGRESS_BLOCK_OPEN || (end == EGRESS_BLOCK_AS_FOUND && !block->was_there))
		open_way(block);
	else if (is_wanted(block->config))
		log_warning(
			"what --route names stays blocked until the next start, or `vprox clean`");
	own_table_forget(&block->table);
	free(block);
}

static void log_what_is_blocked(const struct client_config *config)
{
	if (is_wanted(config))
		log_info("what --route names is blocked but through the tunnel of %s",
			config->interface);
	else if (config->block == BLOCK_ONLY)
		log_info("nothing is blocked: --block=only is about what --route names, %s",
			config->no_block ? "and --no-block is given" : "which is not given");
}

int egress_block_once(const struct client_config *config)
{
	struct egress_block *block = NULL;
	int error = rights_check(false);

	if (error == 0)
		error = egress_block_open(NULL, config, &block);
	if (error == 0)
		log_what_is_blocked(config);
	if (block)
		own_table_forget(&block->table);
	free(block);
	return error;
}
