/*
 * Writes the chain VPROX into the filter table of iptables-legacy, and removes it. It starts
 * programs: the broker does so at its start and end only, and `vprox clean`.
 */
#include "host/legacy_firewall.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "host/host_config.h"
#include "host/iptables.h"

/* What there is of interest in the filter table. */
struct filter_table {
	bool is_closed; /* FORWARD drops or rejects what it does not accept */
	bool has_chain;
	size_t n_jumps;
};

static bool begins(const char *line, const char *with)
{
	return strncmp(line, with, strlen(with)) == 0;
}

static void read_line(void *context, const char *table, const char *line)
{
	struct filter_table *filter = context;

	if (strcmp(table, "filter") != 0)
		return;
	if (begins(line, ":FORWARD DROP ") || begins(line, "-A FORWARD -j DROP") ||
		begins(line, "-A FORWARD -j REJECT"))
		filter->is_closed = true;
	else if (begins(line, ":VPROX "))
		filter->has_chain = true;
	else if (strcmp(line, "-A FORWARD -j VPROX") == 0)
		filter->n_jumps++;
}

static void write_opening(
	FILE *out, const struct filter_table *filter, const struct host_config *config)
{
	/* This line empties the chain where it is there. */
	fputs("*filter\n:VPROX - [0:0]\n", out);
	for (size_t i = 0; i < config->n_endpoints; i++) {
		unsigned int index = config->endpoints[i].index;

		fprintf(out, "-A VPROX -i vprox%u -j ACCEPT\n", index);
		fprintf(out, "-A VPROX -i vp%u-+ -j ACCEPT\n", index);
		fprintf(out, "-A VPROX -o vprox%u -j ACCEPT\n", index);
		fprintf(out, "-A VPROX -o vp%u-+ -j ACCEPT\n", index);
	}
	if (filter->n_jumps == 0)
		fputs("-I FORWARD 1 -j VPROX\n", out);
	fputs("COMMIT\n", out);
}

static void write_closing(FILE *out, const struct filter_table *filter)
{
	fputs("*filter\n", out);
	for (size_t i = 0; i < filter->n_jumps; i++)
		fputs("-D FORWARD -j VPROX\n", out);
	fputs("-F VPROX\n-X VPROX\nCOMMIT\n", out);
}

char *legacy_firewall_opening(const char *saved, const struct host_config *config)
{
	struct filter_table filter = {0};
	char *batch = NULL;
	size_t length = 0;
	int error = iptables_walk(saved, read_line, &filter);
	FILE *out = error == 0 ? open_memstream(&batch, &length) : NULL;

	if (!out)
		return NULL;
	if (filter.is_closed)
		write_opening(out, &filter, config);
	if (fclose(out) != 0) {
		free(batch);
		return NULL;
	}
	return batch;
}

char *legacy_firewall_closing(const char *saved)
{
	struct filter_table filter = {0};
	char *batch = NULL;
	size_t length = 0;
	int error = iptables_walk(saved, read_line, &filter);
	FILE *out = error == 0 ? open_memstream(&batch, &length) : NULL;

	if (!out)
		return NULL;
	if (filter.has_chain)
		write_closing(out, &filter);
	if (fclose(out) != 0) {
		free(batch);
		return NULL;
	}
	return batch;
}

/* *saved is what there is; "" where legacy iptables is not in use. Returns 0 or -errno, logged. */
static int read_saved(char **saved)
{
	struct run_error error = {"out of memory"};
	int result = 0;

	*saved = NULL;
	if (iptables_in_use(IPTABLES_LEGACY))
		result = iptables_save(IPTABLES_LEGACY, saved, &error);
	if (result == 0 && !*saved && !(*saved = strdup("")))
		result = -ENOMEM;
	if (result < 0)
		log_warning("cannot see what iptables-legacy forwards: %s", error.text);
	return result;
}

/* Applies a batch, "" if there is nothing to do; NULL when there was no memory for it. Returns 1 if
 * it changed anything, 0, or -errno, logged. */
static int apply(const char *batch, const char *what)
{
	struct run_error error = {"out of memory"};
	int result = -ENOMEM;

	if (batch)
		result = *batch ? iptables_restore(IPTABLES_LEGACY, batch, &error) : 0;
	if (result < 0)
		log_error("cannot %s iptables-legacy: %s", what, error.text);
	return result < 0 ? result : *batch != '\0';
}

void legacy_firewall_open(const struct host_config *config)
{
	auto_free char *saved = NULL;
	auto_free char *batch = NULL;

	if (read_saved(&saved) < 0)
		return;
	batch = legacy_firewall_opening(saved, config);
	if (apply(batch, "let the tunnels' traffic through") > 0)
		log_info("the FORWARD chain of iptables-legacy lets the tunnels' traffic through "
			 "now, by a chain VPROX of its own");
}

int legacy_firewall_remove(bool dry_run)
{
	auto_free char *saved = NULL;
	auto_free char *batch = NULL;
	int result = read_saved(&saved);

	if (result < 0)
		return result;
	batch = legacy_firewall_closing(saved);
	if (dry_run && batch)
		result = *batch != '\0';
	else
		result = apply(batch, "remove the chain VPROX from");
	if (result > 0)
		log_info("%s the chain VPROX from iptables-legacy",
			dry_run ? "would remove" : "removed");
	return result;
}
