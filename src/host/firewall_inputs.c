/*
 * Finds the input chains of other programs that drop the tunnels' outer packets. Only the broker
 * calls it, once at its start.
 */
#include "host/firewall_inputs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <linux/netfilter.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text_stream.h"
#include "host/host_config.h"
#include "host/iptables.h"
#include "host/legacy_ruleset.h"
#include "nftables/ruleset.h"
#include "host/ruleset_place.h"

/* "IP protocol 4, UDP 50227, TCP 443 and ICMP to 203.0.113.1, ...": the caller frees it. */
static char *what_has_to_be_open(const struct host_config *config)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return NULL;
	for (size_t i = 0; i < config->n_endpoints; i++)
		fprintf(out, "%sIP protocol 4, UDP %u, TCP 443 and ICMP to %s", i > 0 ? ", " : "",
			config->endpoints[i].port, ipv4_text(config->endpoints[i].bind).s);
	return text_stream_close(out, &text);
}

static void report(const char *where, const char *open)
{
	log_warning("%s drops what it does not accept: it has to accept %s. A rule by connection "
		    "state matches none of these, which are untracked, nor the ICMP errors "
		    "about them, which tell how large a tunnel's packets may be",
		where, open);
}

static bool is_input_chain(const struct ruleset_chain *chain)
{
	return ruleset_family_name(chain->family) && chain->is_base &&
	       chain->hook == NF_INET_LOCAL_IN;
}

static int report_nftables_chain(const struct ruleset_chain *chain, const char *open)
{
	auto_free struct ruleset_rule *rules = NULL;
	struct ruleset_table table = {.chains = chain, .n_chains = 1};
	char where[2 * RULESET_NAME_SIZE + 64];
	bool is_closed = false;
	int error = ruleset_rules(chain->family, chain->table, &rules, &table.n_rules);

	table.rules = rules;
	if (error == 0)
		error = ruleset_is_closed(&table, chain, &is_closed);
	if (error < 0 || !is_closed)
		return error;
	snprintf(where, sizeof where, "the input chain \"%s\" of the nftables table %s %s",
		chain->name, ruleset_family_name(chain->family), chain->table);
	report(where, open);
	return 0;
}

static int report_nftables(const char *open)
{
	auto_free struct ruleset_chain *chains = NULL;
	size_t n;
	int error = ruleset_chains(is_input_chain, &chains, &n);

	for (size_t i = 0; error == 0 && i < n; i++)
		error = report_nftables_chain(&chains[i], open);
	return error;
}

static int find_closed_input(const char *saved, bool *is_closed)
{
	struct legacy_ruleset ruleset;
	int error = legacy_ruleset_parse(saved, &ruleset);
	const struct ruleset_chain *input = legacy_ruleset_chain(&ruleset, "INPUT");

	if (error == 0 && input)
		error = ruleset_is_closed(&ruleset.table, input, is_closed);
	legacy_ruleset_free(&ruleset);
	return error;
}

static void report_legacy(const char *open)
{
	auto_free char *saved = NULL;
	struct run_error error = {"out of memory"};
	bool is_closed = false;

	if (!iptables_in_use(IPTABLES_LEGACY))
		return;
	if (iptables_save(IPTABLES_LEGACY, &saved, &error) < 0 ||
		find_closed_input(saved, &is_closed) < 0)
		log_warning("cannot see what iptables-legacy lets in: %s", error.text);
	else if (is_closed)
		report("the INPUT chain of iptables-legacy", open);
}

void firewall_report_closed_inputs(const struct host_config *config)
{
	auto_free char *open = NULL;
	int error;

	if (config->n_endpoints == 0)
		return;
	open = what_has_to_be_open(config);

	if (!open) {
		log_warning("cannot see what the host's firewall lets in: out of memory");
		return;
	}
	error = report_nftables(open);
	if (error < 0)
		log_warning("cannot see what nftables lets in: %s", strerror(-error));
	report_legacy(open);
}
