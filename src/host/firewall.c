/*
 * Loads, checks and removes the tables "ip vprox" and "ip6 vprox". Runs in the broker: at its start
 * and end, and every 5 s; and in `vprox clean`.
 */
#include "host/firewall.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/netfilter.h>
#include <linux/netlink.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "host/confinement.h"
#include "host/firewall_confined.h"
#include "host/firewall_endpoint.h"
#include "host/firewall_text.h"
#include "host/host_config.h"
#include "netlink/socket.h"
#include "nftables/nft.h"
#include "nftables/ruleset.h"

enum {
	CALLS_OF_A_MINUTE = 12, /* of firewall_reconcile() */
};

/* firewall_text() has the same. */
static const char table_name[] = "vprox";
static const char removal[] = "table ip vprox\ndelete table ip vprox\n";
static const char removal_ip6[] = "table ip6 vprox\ndelete table ip6 vprox\n";

/* Where it is switched off, nftables may not know the family either. */
static bool has_ipv6(void)
{
	return access("/proc/net/if_inet6", F_OK) == 0;
}

/* What is for both tables, or for the one alone. NULL: no memory. The caller frees it. */
static char *for_tables(const char *ip, const char *ip6)
{
	char *both;

	return asprintf(&both, "%s%s", ip, has_ipv6() ? ip6 : "") < 0 ? NULL : both;
}

static char *text_of_tables(const struct host_config *config)
{
	auto_free char *ip = firewall_text(config);
	auto_free char *ip6 = firewall_text_ip6(config);

	return ip && ip6 ? for_tables(ip, ip6) : NULL;
}

static bool begins(const char *line, const char *text)
{
	return strncmp(line, text, strlen(text)) == 0;
}

static bool has_confined(const void *context)
{
	const struct host_config *config = context;

	return !config->confinement || firewall_has_confined(config->confinement);
}

static struct loaded_tables_names names_for(const struct host_config *config)
{
	return (struct loaded_tables_names){
		.name = table_name,
		.families = {NFPROTO_IPV4, NFPROTO_IPV6},
		.n_families = has_ipv6() ? 2 : 1,
		.has_sets = has_confined,
		.context = config,
	};
}

int firewall_digest(uint8_t digest[FIREWALL_DIGEST_SIZE])
{
	const struct loaded_tables_names names = names_for(NULL);

	return loaded_tables_digest(&names, digest);
}

bool firewall_can_find_sockets(void)
{
	static const char probe[] = "table ip vprox_probe {\n"
				    "\tchain input {\n"
				    "\t\ttype filter hook input priority mangle; policy accept;\n"
				    "\t\tsocket wildcard { 0, 1 } accept\n"
				    "\t}\n"
				    "}\n";
	struct nft_error reason;
	int error = nft_try(probe, &reason);

	if (error == -EIO)
		log_warning("this kernel's nftables cannot look for sockets (nft_socket): what "
			    "belongs to a connection that this host does not know of is answered "
			    "with a reset, also if another host has it");
	return error == 0;
}

static uint64_t shape_of(const struct host_config *config)
{
	return config->confinement ? config->confinement->shape : 0;
}

int firewall_load(const struct host_config *config, struct firewall_state *state)
{
	const struct loaded_tables_names names = names_for(config);
	auto_free char *text = text_of_tables(config);
	struct nft_error reason = {"out of memory"};
	int error;

	if (!text) {
		log_error("cannot load the firewall: out of memory");
		return -ENOMEM;
	}
	error = loaded_tables_load(&names, &state->tables, text, &reason);
	state->is_behind = error < 0;
	if (error < 0) {
		log_error("cannot load the firewall: %s", reason.text);
		return error;
	}
	state->shape = shape_of(config);
	return 0;
}

/* By its commands, where the tables are as they should be. */
static int change(const struct host_config *config, char *commands, struct firewall_state *state)
{
	const struct loaded_tables_names names = names_for(config);
	struct nft_error reason = {"an earlier change is not in it"};

	if (commands && !state->is_behind &&
		loaded_tables_change(&names, &state->tables, commands, &reason) == 0)
		return 0;
	log_warning("loading the nftables table ip vprox anew, as it cannot be changed: %s",
		commands ? reason.text : strerror(ENOMEM));
	return firewall_load(config, state);
}

static bool is_confined_already(
	const struct host_config *config, const struct confining *changes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!confinement_is(
			    config->confinement, changes[i].inner, changes[i].to, changes[i].n))
			return false;
	return true;
}

/* For a table of another shape: sets and rules that nobody needed before are in it. */
static int confine_by_load(const struct host_config *config, struct firewall_state *state,
	const struct confining *changes, size_t n)
{
	int error = 0;

	state->is_behind = true;
	for (size_t i = 0; i < n && error == 0; i++)
		error = confinement_set(
			config->confinement, changes[i].inner, changes[i].to, changes[i].n);
	return error < 0 ? error : firewall_load(config, state);
}

static bool fits_shape(
	const struct firewall_state *state, const struct confining *changes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (changes[i].to && !(state->shape & CONFINEMENT_USED))
			return false;
		for (size_t j = 0; changes[i].to && j < changes[i].n; j++)
			if (!(state->shape >> changes[i].to[j].length & 1))
				return false;
	}
	return true;
}

static int change_confined(const struct host_config *config, struct firewall_state *state,
	const struct confining *changes, size_t n)
{
	int result = state->netlink ? 0 : netlink_open(NETLINK_NETFILTER, &state->netlink);

	if (result == 0)
		result = firewall_change_confined(state->netlink, config->confinement, changes, n);
	if (result > 0)
		loaded_tables_follow(&state->tables, state->netlink, (uint32_t)result);
	return result;
}

bool firewall_confines_in_place(
	const struct firewall_state *state, const struct confining *changes, size_t n)
{
	return !state->is_behind && fits_shape(state, changes, n);
}

int firewall_confine(const struct host_config *config, struct firewall_state *state,
	const struct confining *changes, size_t n)
{
	int result;

	if (!state->is_behind && is_confined_already(config, changes, n))
		return 0;
	if (!firewall_confines_in_place(state, changes, n))
		return confine_by_load(config, state, changes, n);
	result = change_confined(config, state, changes, n);
	if (result >= 0)
		return 0;
	log_warning("loading the nftables table ip vprox anew, as what tokens may reach cannot be "
		    "changed in it: %s",
		strerror(-result));
	return confine_by_load(config, state, changes, n);
}

void firewall_say_arrived(const struct host_endpoint *endpoint)
{
	auto_free char *commands = firewall_endpoint_arrival(endpoint);
	struct nft_error reason = {"out of memory"};

	if (!commands || nft_run(commands, &reason) < 0)
		log_warning("cannot tell the firewall that %s has come, so that connections "
			    "which come with it may be reset: %s",
			ipv4_text(endpoint->bind).s, reason.text);
}

int firewall_add(const struct host_config *config, const struct host_endpoint *endpoint,
	struct firewall_state *state)
{
	auto_free char *commands = firewall_endpoint_change(endpoint, NULL, has_ipv6());

	return change(config, commands, state);
}

int firewall_take_out(const struct host_config *config, const struct host_endpoint *endpoint,
	struct firewall_state *state)
{
	auto_free char *commands = firewall_endpoint_change(endpoint, config, has_ipv6());

	return change(config, commands, state);
}

/* Without a reason to: what tells others' changes from our own is our own count of these. Of what
 * there is for each client, a part. */
static int inspect(const struct host_config *config, struct firewall_state *state)
{
	const struct loaded_tables_names names = names_for(config);
	const int result = loaded_tables_inspect(&names, &state->tables);

	if (result != LOADED_TABLES_SAME || !config->confinement ||
		firewall_has_next_confined(config->confinement, &state->next_set))
		return result;
	return LOADED_TABLES_CHANGED;
}

int firewall_reconcile(const struct host_config *config, struct firewall_state *state)
{
	const struct loaded_tables_names names = names_for(config);
	int result;

	if (state->is_behind)
		return firewall_load(config, state);
	result = loaded_tables_compare(&names, &state->tables);
	if (result == LOADED_TABLES_SAME && ++state->n_calls % CALLS_OF_A_MINUTE == 0)
		result = inspect(config, state);
	if (result < 0)
		log_error("cannot check the firewall: %s", strerror(-result));
	if (result == LOADED_TABLES_CHANGED)
		log_warning("another program has changed or removed the nftables table ip vprox: "
			    "loading it again");
	if (result == LOADED_TABLES_CHANGED || result == LOADED_TABLES_UNCERTAIN)
		return firewall_load(config, state);
	return result;
}

int firewall_remove(void)
{
	auto_free char *commands = for_tables(removal, removal_ip6);
	struct nft_error reason = {"out of memory"};
	int error = commands ? nft_run(commands, &reason) : -ENOMEM;

	if (error < 0)
		log_error("cannot remove the firewall: %s", reason.text);
	return error;
}

static int add_refused(uint8_t family, const char *const *reasons, uint64_t *counts, size_t n)
{
	static const char prefix[] = "refused_";
	auto_free struct ruleset_counter *counters = NULL;
	size_t n_counters;
	int error = ruleset_counters(family, table_name, &counters, &n_counters);

	for (size_t i = 0; error == 0 && i < n_counters; i++)
		for (size_t reason = 0; reason < n; reason++)
			if (begins(counters[i].name, prefix) &&
				strcmp(counters[i].name + strlen(prefix), reasons[reason]) == 0)
				counts[reason] += counters[i].packets;
	return error;
}

int firewall_count_refused(const char *const *reasons, uint64_t *counts, size_t n)
{
	int error;

	memset(counts, 0, n * sizeof *counts);
	error = add_refused(NFPROTO_IPV4, reasons, counts, n);
	return error == 0 && has_ipv6() ? add_refused(NFPROTO_IPV6, reasons, counts, n) : error;
}

/* Whether the chain is in one of the tables. */
static bool has_chain(const struct ruleset_chain *chain)
{
	return (chain->family == NFPROTO_IPV4 || chain->family == NFPROTO_IPV6) &&
	       strcmp(chain->table, table_name) == 0;
}

bool firewall_is_foreign(const struct ruleset_chain *chain)
{
	return ruleset_family_name(chain->family) && !has_chain(chain);
}

int firewall_clear(bool dry_run)
{
	auto_free struct ruleset_chain *chains = NULL;
	size_t n;
	int error = ruleset_chains(has_chain, &chains, &n);

	if (error < 0) {
		log_error("cannot look for the nftables table ip %s: %s", table_name,
			strerror(-error));
		return error;
	}
	if (n == 0)
		return 0;
	error = dry_run ? 0 : firewall_remove();
	if (error < 0)
		return error;
	log_info("%s the nftables table ip %s", dry_run ? "would remove" : "removed", table_name);
	return 1;
}
