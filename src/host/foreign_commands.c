/*
 * Writes the commands that put the chain VPROX, and the jumps to it, into another program's table
 * of nftables, or take them away. Changes nothing itself; the broker's thread.
 */
#include "host/foreign_commands.h"

#include <stdio.h>
#include <string.h>

#include "base/text_stream.h"
#include "host/host_config.h"
#include "nftables/ruleset.h"
#include "host/ruleset_place.h"
#include "plane/names.h"

enum {
	RULES_PER_ENDPOINT = 4, /* two kinds of interface, two directions */
	RULES_OF_SHARED = 2, /* of the interface that IPIP peers share */
};

static size_t count_accepts(const struct host_config *config)
{
	return RULES_PER_ENDPOINT * config->n_endpoints +
	       (config->shares_ipip ? RULES_OF_SHARED : 0);
}

/* From where or to where the chain's i-th rule accepts. */
static struct ruleset_interface accepted(const struct host_config *config, size_t i)
{
	const size_t endpoint = i / RULES_PER_ENDPOINT;
	struct ruleset_interface interface = {
		.key = i % 2 == 0 ? RULESET_IIFNAME : RULESET_OIFNAME,
		.is_prefix = endpoint < config->n_endpoints && i % RULES_PER_ENDPOINT >= 2,
	};

	if (endpoint == config->n_endpoints)
		strcpy(interface.name, PLANE_SHARED_IPIP_NAME);
	else
		snprintf(interface.name, sizeof interface.name,
			interface.is_prefix ? "vp%u-" : "vprox%u",
			config->endpoints[endpoint].index);
	return interface;
}

static bool is_accept(const struct ruleset_rule *rule, const struct ruleset_interface *interface)
{
	return rule->verdict == RULESET_ACCEPT && rule->interface.key == interface->key &&
	       rule->interface.is_prefix == interface->is_prefix &&
	       strcmp(rule->interface.name, interface->name) == 0;
}

/* Whether the chain has the rules that it should have, and no others: n_accepts. */
static bool has_accepts(
	const struct ruleset_table *table, const struct host_config *config, size_t n_accepts)
{
	const size_t first = ruleset_first_rule(table, FOREIGN_CHAIN);
	size_t i = 0;

	for (; ruleset_is_rule_of(table, first + i, FOREIGN_CHAIN); i++) {
		const struct ruleset_interface interface = accepted(config, i);

		if (i == n_accepts || !is_accept(&table->rules[first + i], &interface))
			return false;
	}
	return i == n_accepts;
}

static bool is_right(const struct foreign_wish *wish, const struct ruleset_table *table)
{
	const size_t n_accepts = wish->n_places > 0 ? count_accepts(wish->config) : 0;

	if (ruleset_count_jumps(table, FOREIGN_CHAIN) != wish->n_places ||
		!has_accepts(table, wish->config, n_accepts))
		return false;
	for (size_t i = 0; i < wish->n_places; i++)
		if (!ruleset_has_jump_at(table, &wish->places[i], FOREIGN_CHAIN))
			return false;
	return true;
}

static void write_accepts(
	FILE *out, const struct host_config *config, const char *family, const char *table_name)
{
	const size_t n = count_accepts(config);

	for (size_t i = 0; i < n; i++) {
		const struct ruleset_interface interface = accepted(config, i);

		fprintf(out, "add rule %s %s " FOREIGN_CHAIN " %s \"%s%s\" accept\n", family,
			table_name, interface.key == RULESET_IIFNAME ? "iifname" : "oifname",
			interface.name, interface.is_prefix ? "*" : "");
	}
}

static void delete_jumps(
	FILE *out, const struct ruleset_table *table, const char *family, const char *table_name)
{
	for (size_t i = 0; i < table->n_rules; i++)
		if (ruleset_is_jump_to(&table->rules[i], FOREIGN_CHAIN))
			fprintf(out, "delete rule %s %s %s handle %llu\n", family, table_name,
				table->rules[i].chain, (unsigned long long)table->rules[i].handle);
}

static void write_jump(
	FILE *out, const struct ruleset_place *place, const char *family, const char *table_name)
{
	if (place->before)
		fprintf(out, "insert rule %s %s %s handle %llu jump " FOREIGN_CHAIN "\n", family,
			table_name, place->chain, (unsigned long long)place->before);
	else
		fprintf(out, "add rule %s %s %s jump " FOREIGN_CHAIN "\n", family, table_name,
			place->chain);
}

/* The chain is emptied too, and with add chain never missing where it is removed. */
static void empty_chain(FILE *out, const char *family, const char *table_name)
{
	fprintf(out, "add chain %s %s " FOREIGN_CHAIN "\n", family, table_name);
	fprintf(out, "flush chain %s %s " FOREIGN_CHAIN "\n", family, table_name);
}

static void write_removal(
	FILE *out, const struct ruleset_table *table, const char *family, const char *table_name)
{
	delete_jumps(out, table, family, table_name);
	empty_chain(out, family, table_name);
	fprintf(out, "delete chain %s %s " FOREIGN_CHAIN "\n", family, table_name);
}

static void write_opening(
	FILE *out, const struct foreign_wish *wish, const struct ruleset_table *table)
{
	const char *family = ruleset_family_name(wish->family);

	empty_chain(out, family, wish->table_name);
	write_accepts(out, wish->config, family, wish->table_name);
	delete_jumps(out, table, family, wish->table_name);
	for (size_t i = 0; i < wish->n_places; i++)
		write_jump(out, &wish->places[i], family, wish->table_name);
}

char *foreign_commands(const struct foreign_wish *wish, const struct ruleset_table *table)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return NULL;
	if (is_right(wish, table))
		return text_stream_close(out, &text);
	if (wish->n_places > 0)
		write_opening(out, wish, table);
	else
		write_removal(out, table, ruleset_family_name(wish->family), wish->table_name);
	return text_stream_close(out, &text);
}

char *foreign_removal_commands(
	uint8_t family, const char *table_name, const struct ruleset_table *table)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return NULL;
	write_removal(out, table, ruleset_family_name(family), table_name);
	return text_stream_close(out, &text);
}
