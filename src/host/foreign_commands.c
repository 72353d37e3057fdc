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

static size_t count_accepts(const struct ruleset_table *table)
{
	size_t n = 0;

	for (size_t i = 0; i < table->n_rules; i++)
		n += strcmp(table->rules[i].chain, FOREIGN_CHAIN) == 0;
	return n;
}

static size_t count_wished(const struct host_config *config)
{
	return RULES_PER_ENDPOINT * config->n_endpoints +
	       (config->shares_ipip ? RULES_OF_SHARED : 0);
}

static bool is_right(const struct foreign_wish *wish, const struct ruleset_table *table)
{
	size_t n_accepts = wish->n_places > 0 ? count_wished(wish->config) : 0;

	if (ruleset_count_jumps(table, FOREIGN_CHAIN) != wish->n_places ||
		count_accepts(table) != n_accepts)
		return false;
	for (size_t i = 0; i < wish->n_places; i++)
		if (!ruleset_has_jump_at(table, &wish->places[i], FOREIGN_CHAIN))
			return false;
	return wish->n_places == 0 || !wish->anew;
}

static void write_accepts(
	FILE *out, const struct host_config *config, const char *family, const char *table)
{
	for (size_t i = 0; i < config->n_endpoints; i++) {
		unsigned int index = config->endpoints[i].index;

		for (int direction = 0; direction < 2; direction++) {
			const char *key = direction == 0 ? "iifname" : "oifname";

			fprintf(out, "add rule %s %s " FOREIGN_CHAIN " %s \"vprox%u\" accept\n",
				family, table, key, index);
			fprintf(out, "add rule %s %s " FOREIGN_CHAIN " %s \"vp%u-*\" accept\n",
				family, table, key, index);
		}
	}
}

static void write_accepts_of_shared(FILE *out, const char *family, const char *table)
{
	fprintf(out,
		"add rule %s %s " FOREIGN_CHAIN " iifname \"%s\" accept\n"
		"add rule %s %s " FOREIGN_CHAIN " oifname \"%s\" accept\n",
		family, table, PLANE_SHARED_IPIP_NAME, family, table, PLANE_SHARED_IPIP_NAME);
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
	if (wish->config->shares_ipip)
		write_accepts_of_shared(out, family, wish->table_name);
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
