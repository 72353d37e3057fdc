/*
 * Writes what iptables-restore has to do so that the filter table of iptables-legacy has the chain
 * VPROX and its jump, or has them no longer. Changes nothing itself. The broker, in the thread that
 * does it.
 */
#include "host/legacy_batch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "host/foreign_commands.h"
#include "host/host_config.h"
#include "host/iptables.h"
#include "host/legacy_ruleset.h"
#include "plane/names.h"

static const char own_rule[] = "-A " FOREIGN_CHAIN " ";

static void write_accepts(FILE *out, const struct host_config *config)
{
	for (size_t i = 0; i < config->n_endpoints; i++) {
		unsigned int index = config->endpoints[i].index;

		fprintf(out, "-A VPROX -i vprox%u -j ACCEPT\n", index);
		fprintf(out, "-A VPROX -i vp%u-+ -j ACCEPT\n", index);
		fprintf(out, "-A VPROX -o vprox%u -j ACCEPT\n", index);
		fprintf(out, "-A VPROX -o vp%u-+ -j ACCEPT\n", index);
	}
	if (config->shares_ipip)
		fprintf(out,
			"-A VPROX -i %s -j ACCEPT\n"
			"-A VPROX -o %s -j ACCEPT\n",
			PLANE_SHARED_IPIP_NAME, PLANE_SHARED_IPIP_NAME);
}

/* Copies a rule of VPROX's, as it was saved. */
static void copy_accept(void *context, const char *table, const char *line)
{
	FILE *out = context;

	if (strcmp(table, "filter") == 0 && strncmp(line, own_rule, strlen(own_rule)) == 0)
		fprintf(out, "%s\n", line);
}

/* The rules that VPROX has, or, if saved is NULL, should have. NULL when there is no memory. */
static char *accepts(const char *saved, const struct host_config *config)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);
	int error = 0;

	if (!out)
		return NULL;
	if (saved)
		error = iptables_walk(saved, copy_accept, out);
	else
		write_accepts(out, config);
	if (fclose(out) == 0 && error == 0)
		return text;
	free(text);
	return NULL;
}

static int has_all_accepts(const char *saved, const struct host_config *config, bool *has)
{
	auto_free char *there = accepts(saved, config);
	auto_free char *wanted = accepts(NULL, config);

	if (!there || !wanted)
		return -ENOMEM;
	*has = strcmp(there, wanted) == 0;
	return 0;
}

/* The last one first, so that the numbers of the others stay. */
static void delete_jumps(FILE *out, const struct ruleset_table *table)
{
	for (size_t i = table->n_rules; i-- > 0;)
		if (ruleset_is_jump_to(&table->rules[i], FOREIGN_CHAIN))
			fprintf(out, "-D %s %llu\n", table->rules[i].chain,
				(unsigned long long)table->rules[i].handle);
}

/* The number that the rule has once the jumps to VPROX are deleted. */
static unsigned long long number_without_jumps(
	const struct ruleset_table *table, const struct ruleset_place *place)
{
	unsigned long long number = place->before;

	for (size_t i = 0; i < table->n_rules; i++)
		if (ruleset_is_jump_to(&table->rules[i], FOREIGN_CHAIN) &&
			strcmp(table->rules[i].chain, place->chain) == 0 &&
			table->rules[i].handle < place->before)
			number--;
	return number;
}

static void write_opening(FILE *out, const struct ruleset_table *table,
	const struct ruleset_place *place, const struct host_config *config)
{
	/* This line empties the chain where it is there. */
	fputs("*filter\n:VPROX - [0:0]\n", out);
	write_accepts(out, config);
	delete_jumps(out, table);
	if (place->before)
		fprintf(out, "-I %s %llu -j VPROX\n", place->chain,
			number_without_jumps(table, place));
	else
		fprintf(out, "-A %s -j VPROX\n", place->chain);
	fputs("COMMIT\n", out);
}

static void write_closing(FILE *out, const struct legacy_ruleset *ruleset)
{
	if (!legacy_ruleset_chain(ruleset, FOREIGN_CHAIN))
		return;
	fputs("*filter\n", out);
	delete_jumps(out, &ruleset->table);
	fputs("-F VPROX\n-X VPROX\nCOMMIT\n", out);
}

/* Whether there is one jump to VPROX, and where it should be. */
static bool is_at_place(const struct ruleset_table *table, const struct ruleset_place *place)
{
	return ruleset_count_jumps(table, FOREIGN_CHAIN) == 1 &&
	       ruleset_has_jump_at(table, place, FOREIGN_CHAIN);
}

/* Writes what has to be done where the table drops what is undecided. */
static int write_changes(FILE *out, const char *saved, const struct legacy_ruleset *ruleset,
	const struct host_config *config, bool *is_shared)
{
	const struct ruleset_chain *forward = legacy_ruleset_chain(ruleset, "FORWARD");
	struct ruleset_place place = {.kind = RULESET_PLACE_NONE};
	bool has_accepts;
	int error = has_all_accepts(saved, config, &has_accepts);

	if (error == 0 && forward)
		error = ruleset_find_place(&ruleset->table, forward, FOREIGN_CHAIN, &place);
	if (error < 0)
		return error;
	*is_shared = place.kind == RULESET_PLACE_SHARED;
	if (place.kind != RULESET_PLACE_FOUND)
		write_closing(out, ruleset);
	else if (!has_accepts || !is_at_place(&ruleset->table, &place))
		write_opening(out, &ruleset->table, &place, config);
	return 0;
}

/* Without a configuration, what has to be done to remove VPROX. */
static char *changes(const char *saved, const struct host_config *config, bool *is_shared)
{
	struct legacy_ruleset ruleset;
	char *batch = NULL;
	size_t length = 0;
	int error = legacy_ruleset_parse(saved, &ruleset);
	FILE *out = error == 0 ? open_memstream(&batch, &length) : NULL;

	if (out && config)
		error = write_changes(out, saved, &ruleset, config, is_shared);
	else if (out)
		write_closing(out, &ruleset);
	legacy_ruleset_free(&ruleset);
	if (out && fclose(out) == 0 && error == 0)
		return batch;
	free(batch);
	return NULL;
}

char *legacy_batch_opening(const char *saved, const struct host_config *config, bool *is_shared)
{
	*is_shared = false;
	return changes(saved, config, is_shared);
}

char *legacy_batch_closing(const char *saved)
{
	return changes(saved, NULL, NULL);
}
