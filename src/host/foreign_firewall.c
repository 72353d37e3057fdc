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
#include "host/foreign_commands.h"
#include "host/legacy_firewall.h"
#include "nftables/nft.h"
#include "nftables/ruleset.h"
#include "host/ruleset_place.h"

enum {
	MAX_REPORTED = 16, /* chains; further ones are logged each time */
};

/* Of a chain that drops by its own rules before it drops the rest, and that other packets pass. */
static const char shared_reason[] =
	"it leads to a chain that has rules of its own that drop, and that packets to or from this "
	"host pass too";

/* A closed chain that cannot be changed, which was logged. */
struct reported_chain {
	uint8_t family;
	char table[RULESET_NAME_SIZE];
	char chain[RULESET_NAME_SIZE];
};

struct foreign_firewall {
	const struct host_config *config;
	bool is_reconciled; /* at least once, with the endpoints that there are */
	uint32_t generation; /* then */
	uint32_t n_changes; /* our own, of the reconciliation that runs: each of them moves the
			       generation on by one */
	bool cannot_read; /* and that was logged */
	struct legacy_firewall *legacy;
	struct reported_chain reported[MAX_REPORTED];
	size_t n_reported;
};

struct foreign_firewall *foreign_firewall_new(
	struct event_base *base, const struct host_config *config)
{
	struct foreign_firewall *foreign = calloc(1, sizeof *foreign);

	if (!foreign)
		return NULL;
	foreign->config = config;
	foreign->legacy = legacy_firewall_new(base, config);
	if (foreign->legacy)
		return foreign;
	free(foreign);
	return NULL;
}

/* Those of other hooks too: a chain that they jump to is not for forwarded packets alone. */
static bool is_foreign_base(const struct ruleset_chain *chain)
{
	return firewall_is_foreign(chain) && chain->is_base;
}

static bool is_foreign_vprox(const struct ruleset_chain *chain)
{
	return firewall_is_foreign(chain) && !chain->is_base &&
	       strcmp(chain->name, FOREIGN_CHAIN) == 0;
}

static bool is_same_table(const struct ruleset_chain *a, const struct ruleset_chain *b)
{
	return a->family == b->family && strcmp(a->table, b->table) == 0;
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

/* What is wanted in one table, as it is gathered. */
struct table_plan {
	const struct ruleset_chain *first; /* the first of its forward chains */
	struct ruleset_table table;
	struct ruleset_rule *rules; /* table's */
	struct ruleset_place *places;
	size_t n_places;
};

static bool is_forward_chain_of(const struct table_plan *plan, const struct ruleset_chain *chain)
{
	return chain->hook == NF_INET_FORWARD && is_same_table(plan->first, chain);
}

static void add_place(struct table_plan *plan, const struct ruleset_place *place)
{
	for (size_t i = 0; i < plan->n_places; i++)
		if (plan->places[i].before == place->before &&
			strcmp(plan->places[i].chain, place->chain) == 0)
			return;
	plan->places[plan->n_places++] = *place;
}

static int plan_chain(struct foreign_firewall *foreign, struct table_plan *plan,
	const struct ruleset_chain *chain)
{
	struct ruleset_place place;
	int error = ruleset_find_place(&plan->table, chain, FOREIGN_CHAIN, &place);

	if (error < 0)
		return error;
	if (place.kind == RULESET_PLACE_NONE)
		forget_reported(foreign, chain);
	else if (place.kind == RULESET_PLACE_SHARED)
		report_closed(foreign, chain, shared_reason);
	else if (!is_word(chain->table) || !is_word(place.chain))
		report_closed(foreign, chain, "nft cannot write its name");
	else
		add_place(plan, &place);
	return 0;
}

static int plan_table(struct foreign_firewall *foreign, struct table_plan *plan)
{
	int error = ruleset_rules(
		plan->first->family, plan->first->table, &plan->rules, &plan->table.n_rules);

	plan->table.rules = plan->rules;
	if (error < 0)
		return error;
	plan->places = calloc(plan->table.n_chains, sizeof *plan->places);
	if (!plan->places)
		return -ENOMEM;
	for (size_t i = 0; error == 0 && i < plan->table.n_chains; i++)
		if (is_forward_chain_of(plan, &plan->table.chains[i]))
			error = plan_chain(foreign, plan, &plan->table.chains[i]);
	return error;
}

/* Whether the chain is one of those that the commands open. */
static bool is_to_be_opened(const struct table_plan *plan, const struct ruleset_chain *chain)
{
	struct ruleset_place place;

	return is_forward_chain_of(plan, chain) &&
	       ruleset_find_place(&plan->table, chain, FOREIGN_CHAIN, &place) == 0 &&
	       place.kind == RULESET_PLACE_FOUND;
}

static void report_failure(
	struct foreign_firewall *foreign, const struct table_plan *plan, const char *reason)
{
	for (size_t i = 0; i < plan->table.n_chains; i++)
		if (is_to_be_opened(plan, &plan->table.chains[i]))
			report_closed(foreign, &plan->table.chains[i], reason);
}

static void log_done(struct foreign_firewall *foreign, const struct table_plan *plan)
{
	const char *family = ruleset_family_name(plan->first->family);

	for (size_t i = 0; i < plan->table.n_chains; i++)
		if (is_to_be_opened(plan, &plan->table.chains[i]))
			forget_reported(foreign, &plan->table.chains[i]);
	for (size_t i = 0; i < plan->n_places; i++)
		log_info("the chain \"%s\" of the nftables table %s %s lets the tunnels' traffic "
			 "through now, by a chain " FOREIGN_CHAIN " of its own",
			plan->places[i].chain, family, plan->first->table);
	if (plan->n_places == 0)
		log_info("removed the chain " FOREIGN_CHAIN " from the nftables table %s %s",
			family, plan->first->table);
}

/* Whether another program has changed something since the generation was this one, and the rules
 * were read: then a handle that is gone is no news. */
static bool has_moved_on(const struct foreign_firewall *foreign, uint32_t generation)
{
	uint32_t now;

	return ruleset_generation(&now) == 0 && now != generation + foreign->n_changes;
}

static void record_done(struct foreign_firewall *foreign, const struct table_plan *plan)
{
	foreign->n_changes++;
	log_done(foreign, plan);
}

static int apply_plan(
	struct foreign_firewall *foreign, const struct table_plan *plan, uint32_t generation)
{
	const struct foreign_wish wish = {
		.config = foreign->config,
		.family = plan->first->family,
		.table_name = plan->first->table,
		.places = plan->places,
		.n_places = plan->n_places,
	};
	auto_free char *commands = foreign_commands(&wish, &plan->table);
	struct nft_error reason;

	if (!commands)
		return -ENOMEM;
	if (!*commands || !is_word(plan->first->table))
		return 0;
	if (nft_run(commands, &reason) == 0)
		record_done(foreign, plan);
	else if (!has_moved_on(foreign, generation))
		report_failure(foreign, plan, reason.text);
	return 0;
}

static int reconcile_table(struct foreign_firewall *foreign, const struct ruleset_chain *first,
	const struct ruleset_chain *chains, size_t n, uint32_t generation)
{
	struct table_plan plan = {.first = first, .table = {.chains = chains, .n_chains = n}};
	int error = plan_table(foreign, &plan);

	if (error == 0)
		error = apply_plan(foreign, &plan, generation);
	free(plan.rules);
	free(plan.places);
	return error;
}

/* Whether the chain is the first of its table that is asked for packets to forward. */
static bool begins_table(const struct ruleset_chain *chains, size_t i)
{
	if (chains[i].hook != NF_INET_FORWARD)
		return false;
	for (size_t j = 0; j < i; j++)
		if (chains[j].hook == NF_INET_FORWARD && is_same_table(&chains[i], &chains[j]))
			return false;
	return true;
}

static int reconcile_nftables(struct foreign_firewall *foreign)
{
	auto_free struct ruleset_chain *chains = NULL;
	uint32_t generation;
	size_t n;
	int error = ruleset_generation(&generation);

	if (error < 0 || (foreign->is_reconciled && generation == foreign->generation))
		return error;
	error = ruleset_chains(is_foreign_base, &chains, &n);
	for (size_t i = 0; error == 0 && i < n; i++)
		if (begins_table(chains, i))
			error = reconcile_table(foreign, &chains[i], chains, n, generation);
	/* As it was before the chains were read: after a change since, our own too, the next call
	 * reads them again. */
	if (error == 0) {
		foreign->generation = generation;
		foreign->is_reconciled = true;
	}
	return error;
}

static void report_reading(struct foreign_firewall *foreign, int error)
{
	if (error < 0 && !foreign->cannot_read)
		log_warning("cannot look for other firewalls in nftables, will try again: %s",
			strerror(-error));
	else if (error == 0 && foreign->cannot_read)
		log_info("other firewalls in nftables can be looked for again");
	foreign->cannot_read = error < 0;
}

void foreign_firewall_reconcile(struct foreign_firewall *foreign)
{
	foreign->n_changes = 0;
	report_reading(foreign, reconcile_nftables(foreign));
	if (foreign->legacy)
		legacy_firewall_reconcile(foreign->legacy);
}

void foreign_firewall_endpoints_changed(struct foreign_firewall *foreign)
{
	foreign->is_reconciled = false;
	if (foreign->legacy)
		legacy_firewall_endpoints_changed(foreign->legacy);
}

const char *foreign_firewall_legacy(const struct foreign_firewall *foreign)
{
	return foreign->legacy ? legacy_firewall_saved(foreign->legacy) : NULL;
}

void foreign_firewall_settle(struct foreign_firewall *foreign)
{
	legacy_firewall_free(foreign->legacy);
	foreign->legacy = NULL;
}

static int remove_from_table(const struct ruleset_chain *vprox)
{
	auto_free struct ruleset_rule *rules = NULL;
	auto_free char *commands = NULL;
	struct ruleset_table table = {0};
	struct nft_error reason;
	int error = ruleset_rules(vprox->family, vprox->table, &rules, &table.n_rules);

	table.rules = rules;
	if (error == 0 && !is_word(vprox->table))
		error = -EINVAL;
	if (error == 0)
		commands = foreign_removal_commands(vprox->family, vprox->table, &table);
	if (error == 0 && !commands)
		error = -ENOMEM;
	snprintf(reason.text, sizeof reason.text, "%s", strerror(-error));
	if (error == 0)
		error = nft_run(commands, &reason);
	if (error < 0)
		log_error("cannot remove the chain " FOREIGN_CHAIN
			  " from the nftables table %s %s: %s",
			ruleset_family_name(vprox->family), vprox->table, reason.text);
	else
		log_info("removed the chain " FOREIGN_CHAIN " from the nftables table %s %s",
			ruleset_family_name(vprox->family), vprox->table);
	return error;
}

static int remove_from_nftables(bool dry_run)
{
	auto_free struct ruleset_chain *chains = NULL;
	size_t n;
	int result = ruleset_chains(is_foreign_vprox, &chains, &n);

	if (result < 0) {
		log_error("cannot look for the chains " FOREIGN_CHAIN " in nftables: %s",
			strerror(-result));
		return result;
	}
	for (size_t i = 0; i < n; i++) {
		int error = 0;

		if (dry_run)
			log_info("would remove the chain " FOREIGN_CHAIN
				 " from the nftables table %s %s",
				ruleset_family_name(chains[i].family), chains[i].table);
		else
			error = remove_from_table(&chains[i]);
		result = result < 0 ? result : error;
	}
	return result < 0 ? result : (int)n;
}

int foreign_firewall_remove(bool dry_run)
{
	int n = remove_from_nftables(dry_run);
	int n_legacy = legacy_firewall_remove(dry_run);

	return n < 0 ? n : n_legacy < 0 ? n_legacy : n + n_legacy;
}

void foreign_firewall_free(struct foreign_firewall *foreign, bool keep)
{
	if (!foreign)
		return;
	foreign_firewall_settle(foreign);
	if (!keep)
		foreign_firewall_remove(false);
	free(foreign);
}
