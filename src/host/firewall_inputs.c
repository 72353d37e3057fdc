/*
 * Finds the input chains of other programs that drop the tunnels' outer packets. Only the broker
 * calls it, once at its start.
 */
#include "host/firewall_inputs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/netfilter.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "host/host_config.h"
#include "host/iptables.h"
#include "host/ruleset.h"

/* The policy of legacy iptables' input chain, as iptables-save prints it. */
static const char legacy_closed[] = ":INPUT DROP ";

/* "protocol 4 and UDP 50227 to 203.0.113.1, ..., and TCP 443 to them": the caller frees it. */
static char *what_has_to_be_open(const struct host_config *config)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return NULL;
	for (size_t i = 0; i < config->n_endpoints; i++)
		fprintf(out, "%sIP protocol 4, UDP %u and TCP 443 to %s", i > 0 ? ", " : "",
			config->endpoints[i].port, ipv4_text(config->endpoints[i].bind).s);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static void report(const char *where, const char *open)
{
	log_warning("%s drops what it does not accept: it has to accept %s. A rule by connection "
		    "state does not match the first two, they are untracked",
		where, open);
}

static bool is_input_chain(const struct ruleset_chain *chain)
{
	return ruleset_family_name(chain->family) && chain->is_base &&
	       chain->hook == NF_INET_LOCAL_IN;
}

static int report_nftables(const char *open)
{
	auto_free struct ruleset_chain *chains = NULL;
	char where[2 * RULESET_NAME_SIZE + 64];
	size_t n;
	int error = ruleset_chains(is_input_chain, &chains, &n);

	for (size_t i = 0; error == 0 && i < n; i++) {
		bool is_closed;

		error = ruleset_is_closed(&chains[i], &is_closed);
		if (error < 0 || !is_closed)
			continue;
		snprintf(where, sizeof where, "the input chain \"%s\" of the nftables table %s %s",
			chains[i].name, ruleset_family_name(chains[i].family), chains[i].table);
		report(where, open);
	}
	return error;
}

static void find_closed_input(void *context, const char *table, const char *line)
{
	bool *is_closed = context;

	if (strcmp(table, "filter") == 0 &&
		strncmp(line, legacy_closed, strlen(legacy_closed)) == 0)
		*is_closed = true;
}

static void report_legacy(const char *open)
{
	auto_free char *saved = NULL;
	struct run_error error = {"out of memory"};
	bool is_closed = false;

	if (!iptables_in_use(IPTABLES_LEGACY))
		return;
	if (iptables_save(IPTABLES_LEGACY, &saved, &error) < 0 ||
		iptables_walk(saved, find_closed_input, &is_closed) < 0)
		log_warning("cannot see what iptables-legacy lets in: %s", error.text);
	else if (is_closed)
		report("the INPUT chain of iptables-legacy", open);
}

void firewall_report_closed_inputs(const struct host_config *config)
{
	auto_free char *open = what_has_to_be_open(config);
	int error;

	if (!open) {
		log_warning("cannot see what the host's firewall lets in: out of memory");
		return;
	}
	error = report_nftables(open);
	if (error < 0)
		log_warning("cannot see what nftables lets in: %s", strerror(-error));
	report_legacy(open);
}
