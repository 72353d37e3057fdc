/*
 * Keeps the chain VPROX in the nftables tables of other programs, and removes it. Runs in the
 * broker, every 5 s too, and in `vprox clean`.
 */
#include "host/foreign_firewall.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/netfilter.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "host/firewall.h"
#include "host/host_config.h"
#include "host/legacy_firewall.h"
#include "host/nft.h"
#include "host/ruleset.h"

enum {
	RULES_PER_ENDPOINT = 4, /* two kinds of interface, two directions */
	MAX_REPORTED = 16, /* chains; further ones are logged each time */
};

static const char chain_name[] = "VPROX";

/* A closed chain that cannot be changed, which was logged. */
struct reported_chain {
	uint8_t family;
	char table[RULESET_NAME_SIZE];
	char chain[RULESET_NAME_SIZE];
};

struct foreign_firewall {
	const struct host_config *config;
	bool is_reconciled; /* at least once */
	uint32_t generation;
	struct reported_chain reported[MAX_REPORTED];
	size_t n_reported;
};

struct foreign_firewall *foreign_firewall_new(const struct host_config *config)
{
	struct foreign_firewall *foreign = calloc(1, sizeof *foreign);

	if (foreign)
		foreign->config = config;
	return foreign;
}

static bool is_foreign_forward(const struct ruleset_chain *chain)
{
	return ruleset_family_name(chain->family) && !firewall_has_chain(chain) && chain->is_base &&
	       chain->hook == NF_INET_FORWARD;
}

/* The chains that our commands name, or that jump to VPROX. */
static bool is_involved(const struct ruleset_chain *chain)
{
	return is_foreign_forward(chain) ||
	       (ruleset_family_name(chain->family) && !firewall_has_chain(chain) &&
		       strcmp(chain->name, chain_name) == 0);
}

/* Other programs' names go into commands: only such as nft's language has as words. */
static bool is_word(const char *name)
{
	if (!isalpha((unsigned char)*name) && *name != '_')
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("_-./", *name))
			return false;
	return true;
}

static struct reported_chain *find_reported(
	struct foreign_firewall *foreign, const struct ruleset_chain *chain)
{
	for (size_t i = 0; i < foreign->n_reported; i++) {
		struct reported_chain *reported = &foreign->reported[i];

		if (reported->family == chain->family &&
			strcmp(reported->table, chain->table) == 0 &&
			strcmp(reported->chain, chain->name) == 0)
			return reported;
	}
	return NULL;
}

static void forget_reported(struct foreign_firewall *foreign, const struct ruleset_chain *chain)
{
	struct reported_chain *reported = find_reported(foreign, chain);

	if (reported)
		*reported = foreign->reported[--foreign->n_reported];
}

/* Logs once what has to be added to a chain that we cannot change. */
static void report_closed(
	struct foreign_firewall *foreign, const struct ruleset_chain *chain, const char *reason)
{
	struct reported_chain *reported;

	if (find_reported(foreign, chain))
		return;
	log_warning("the chain \"%s\" of the nftables table %s %s drops the tunnels' traffic and "
		    "cannot be changed (%s): add rules to it that accept what comes from and what "
		    "goes to the interfaces vprox* and vp<number>-*, or with firewalld put these "
		    "into the zone \"trusted\"",
		chain->name, ruleset_family_name(chain->family), chain->table, reason);
	if (foreign->n_reported == MAX_REPORTED)
		return;
	reported = &foreign->reported[foreign->n_reported++];
	reported->family = chain->family;
	strcpy(reported->table, chain->table);
	strcpy(reported->chain, chain->name);
}

static void write_accepts(
	FILE *out, const struct host_config *config, const char *family, const char *table)
{
	for (size_t i = 0; i < config->n_endpoints; i++) {
		unsigned int index = config->endpoints[i].index;

		for (int direction = 0; direction < 2; direction++) {
			const char *key = direction == 0 ? "iifname" : "oifname";

			fprintf(out, "add rule %s %s %s %s \"vprox%u\" accept\n", family, table,
				chain_name, key, index);
			fprintf(out, "add rule %s %s %s %s \"vp%u-*\" accept\n", family, table,
				chain_name, key, index);
		}
	}
}

/* Writes VPROX, and the jump to it if there is none. */
static int open_chain(struct foreign_firewall *foreign, const struct ruleset_chain *chain,
	bool has_jump, struct nft_error *reason)
{
	const char *family = ruleset_family_name(chain->family);
	auto_free char *commands = NULL;
	size_t length = 0;
	FILE *out;

	if (!is_word(chain->table) || !is_word(chain->name)) {
		snprintf(reason->text, sizeof reason->text, "nft cannot write its name");
		return -EINVAL;
	}
	out = open_memstream(&commands, &length);
	if (!out) {
		snprintf(reason->text, sizeof reason->text, "out of memory");
		return -ENOMEM;
	}
	fprintf(out, "add chain %s %s %s\n", family, chain->table, chain_name);
	fprintf(out, "flush chain %s %s %s\n", family, chain->table, chain_name);
	write_accepts(out, foreign->config, family, chain->table);
	if (!has_jump)
		fprintf(out, "insert rule %s %s %s jump %s\n", family, chain->table, chain->name,
			chain_name);
	if (fclose(out) != 0) {
		snprintf(reason->text, sizeof reason->text, "out of memory");
		return -ENOMEM;
	}
	return nft_run(commands, reason);
}

/* Whether the chain jumps to VPROX before anything stops all packets. */
static int find_jump(const struct ruleset_chain *chain, bool *has_jump)
{
	auto_free struct ruleset_rule *rules = NULL;
	size_t n;
	int error = ruleset_rules(chain->family, chain->table, chain->name, &rules, &n);

	*has_jump = false;
	for (size_t i = 0; error == 0 && i < n && rules[i].verdict != RULESET_STOP; i++)
		if (rules[i].verdict == RULESET_JUMP && strcmp(rules[i].target, chain_name) == 0)
			*has_jump = true;
	return error;
}

static int reconcile_chain(struct foreign_firewall *foreign, const struct ruleset_chain *chain)
{
	auto_free struct ruleset_rule *accepts = NULL;
	size_t n_accepts;
	bool is_closed, has_jump = false, is_complete;
	struct nft_error reason;
	int error = ruleset_is_closed(chain, &is_closed);

	if (error < 0 || !is_closed)
		return error;
	error = find_jump(chain, &has_jump);
	if (error == 0)
		error = ruleset_rules(
			chain->family, chain->table, chain_name, &accepts, &n_accepts);
	if (error < 0)
		return error;
	is_complete = n_accepts == RULES_PER_ENDPOINT * foreign->config->n_endpoints;
	if (has_jump && is_complete && foreign->is_reconciled)
		return 0;
	if (open_chain(foreign, chain, has_jump, &reason) < 0) {
		report_closed(foreign, chain, reason.text);
		return 0;
	}
	forget_reported(foreign, chain);
	log_info("the chain \"%s\" of the nftables table %s %s lets the tunnels' traffic through "
		 "now, by a chain %s of its own",
		chain->name, ruleset_family_name(chain->family), chain->table, chain_name);
	return 0;
}

static int reconcile_nftables(struct foreign_firewall *foreign)
{
	auto_free struct ruleset_chain *chains = NULL;
	uint32_t generation;
	size_t n;
	int error = ruleset_generation(&generation);

	if (error < 0 || (foreign->is_reconciled && generation == foreign->generation))
		return error;
	error = ruleset_chains(is_foreign_forward, &chains, &n);
	for (size_t i = 0; error == 0 && i < n; i++)
		error = reconcile_chain(foreign, &chains[i]);
	/* As it was before the chains were read: after a change since, our own too, the next call
	 * reads them again. */
	if (error == 0)
		foreign->generation = generation;
	return error;
}

void foreign_firewall_reconcile(struct foreign_firewall *foreign)
{
	int error = reconcile_nftables(foreign);

	if (error < 0)
		log_warning("cannot look for other firewalls in nftables: %s", strerror(-error));
	if (!foreign->is_reconciled)
		legacy_firewall_open(foreign->config);
	foreign->is_reconciled = true;
}

/* The commands that remove VPROX from its table. */
static int write_removal(
	FILE *out, const struct ruleset_chain *vprox, const struct ruleset_chain *chains, size_t n)
{
	const char *family = ruleset_family_name(vprox->family);

	for (size_t i = 0; i < n; i++) {
		auto_free struct ruleset_rule *rules = NULL;
		size_t n_rules;
		int error;

		if (chains[i].family != vprox->family ||
			strcmp(chains[i].table, vprox->table) != 0 || &chains[i] == vprox)
			continue;
		error = ruleset_rules(
			vprox->family, vprox->table, chains[i].name, &rules, &n_rules);
		if (error < 0)
			return error;
		for (size_t j = 0; j < n_rules; j++)
			if (rules[j].verdict == RULESET_JUMP &&
				strcmp(rules[j].target, chain_name) == 0)
				fprintf(out, "delete rule %s %s %s handle %llu\n", family,
					vprox->table, chains[i].name,
					(unsigned long long)rules[j].handle);
	}
	fprintf(out, "flush chain %s %s %s\n", family, vprox->table, chain_name);
	fprintf(out, "delete chain %s %s %s\n", family, vprox->table, chain_name);
	return 0;
}

static int remove_from_table(
	const struct ruleset_chain *vprox, const struct ruleset_chain *chains, size_t n)
{
	auto_free char *commands = NULL;
	struct nft_error reason = {"out of memory"};
	size_t length = 0;
	FILE *out = is_word(vprox->table) ? open_memstream(&commands, &length) : NULL;
	int error = out ? write_removal(out, vprox, chains, n) : -ENOMEM;

	if (error < 0)
		snprintf(reason.text, sizeof reason.text, "%s", strerror(-error));
	if (out && fclose(out) != 0 && error == 0)
		error = -ENOMEM;
	if (error == 0)
		error = nft_run(commands, &reason);
	if (error < 0)
		log_error("cannot remove the chain %s from the nftables table %s %s: %s",
			chain_name, ruleset_family_name(vprox->family), vprox->table, reason.text);
	else
		log_info("removed the chain %s from the nftables table %s %s", chain_name,
			ruleset_family_name(vprox->family), vprox->table);
	return error;
}

static int remove_from_nftables(bool dry_run)
{
	auto_free struct ruleset_chain *chains = NULL;
	size_t n;
	int n_tables = 0;
	int result = ruleset_chains(is_involved, &chains, &n);

	if (result < 0) {
		log_error("cannot look for the chains %s in nftables: %s", chain_name,
			strerror(-result));
		return result;
	}
	for (size_t i = 0; i < n; i++) {
		int error = 0;

		if (strcmp(chains[i].name, chain_name) != 0 || chains[i].is_base)
			continue;
		n_tables++;
		if (dry_run)
			log_info("would remove the chain %s from the nftables table %s %s",
				chain_name, ruleset_family_name(chains[i].family), chains[i].table);
		else
			error = remove_from_table(&chains[i], chains, n);
		result = result < 0 ? result : error;
	}
	return result < 0 ? result : n_tables;
}

int foreign_firewall_remove(bool dry_run)
{
	int n = remove_from_nftables(dry_run);
	int n_legacy = legacy_firewall_remove(dry_run);

	return n < 0 ? n : n_legacy < 0 ? n_legacy : n + n_legacy;
}

void foreign_firewall_free(struct foreign_firewall *foreign, bool keep)
{
	if (foreign && !keep)
		foreign_firewall_remove(false);
	free(foreign);
}
