/* Finds, by the clients' locks and tables, what those have left that were killed. Runs in `vprox
 * clean` and `vprox disconnect`. */
#include "client/leftovers.h"

#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netfilter.h>

#include "base/cleanup.h"
#include "base/lock.h"
#include "base/log.h"
#include "client/egress_block.h"
#include "client/inbound.h"
#include "client/instance.h"
#include "client/ip_routes.h"
#include "client/own_table.h"
#include "nftables/ruleset.h"

struct interface_name {
	char s[IF_NAMESIZE];
};

struct leftovers {
	bool dry_run;
	int n_found;
	int error; /* the first */
	struct interface_name *names;
	size_t n_names;
};

static void record(struct leftovers *leftovers, int result)
{
	if (result >= 0)
		leftovers->n_found += result;
	else if (leftovers->error == 0)
		leftovers->error = result;
}

static void add_name(struct leftovers *leftovers, const char *name)
{
	struct interface_name *names;

	for (size_t i = 0; i < leftovers->n_names; i++)
		if (strcmp(leftovers->names[i].s, name) == 0)
			return;
	names = reallocarray(leftovers->names, leftovers->n_names + 1, sizeof *names);
	if (!names)
		return record(leftovers, -ENOMEM);
	leftovers->names = names;
	snprintf(names[leftovers->n_names++].s, sizeof names->s, "%s", name);
}

static void find_locks(struct leftovers *leftovers)
{
	DIR *folder = opendir(RUN_FOLDER);
	const struct dirent *entry;

	while (folder && (entry = readdir(folder)))
		if (strncmp(entry->d_name, INSTANCE_LOCK_PREFIX, strlen(INSTANCE_LOCK_PREFIX)) == 0)
			add_name(leftovers, entry->d_name + strlen(INSTANCE_LOCK_PREFIX));
	if (folder)
		closedir(folder);
}

static bool is_of_our_family(const struct ruleset_chain *chain)
{
	return chain->family == NFPROTO_INET;
}

/* Where there is no nftables there is none of ours. */
static void find_tables(struct leftovers *leftovers)
{
	auto_free struct ruleset_chain *chains = NULL;
	struct interface_name name;
	size_t n = 0;

	if (ruleset_chains(is_of_our_family, &chains, &n) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		if (own_table_interface(
			    chains[i].table, EGRESS_BLOCK_PREFIX, name.s, sizeof name.s) ||
			own_table_interface(chains[i].table, INBOUND_PREFIX, name.s, sizeof name.s))
			add_name(leftovers, name.s);
}

static int remove_routes(const char *interface, bool dry_run)
{
	int found = ip_routes_remove(interface, dry_run);

	if (found > 0)
		log_info("%s the policy rules and routes of a client of %s",
			dry_run ? "would remove" : "removed", interface);
	return found;
}

/* The routes first: the block holds meanwhile. */
static void remove_all(struct leftovers *leftovers, const char *interface)
{
	record(leftovers, remove_routes(interface, leftovers->dry_run));
	record(leftovers, egress_block_remove(interface, leftovers->dry_run));
	record(leftovers, inbound_remove(interface, leftovers->dry_run));
}

/* Whose client runs, that is none's leftover. */
static void clean(struct leftovers *leftovers, const char *interface)
{
	auto_close int lock = instance_lock_if_free(interface);

	if (lock < 0)
		return record(leftovers, lock == -EWOULDBLOCK ? 0 : lock);
	remove_all(leftovers, interface);
}

int leftovers_remove_of(const char *interface)
{
	struct leftovers leftovers = {0};

	remove_all(&leftovers, interface);
	return leftovers.error;
}

int leftovers_remove(bool dry_run)
{
	struct leftovers leftovers = {.dry_run = dry_run};

	find_locks(&leftovers);
	find_tables(&leftovers);
	for (size_t i = 0; i < leftovers.n_names; i++)
		clean(&leftovers, leftovers.names[i].s);
	free(leftovers.names);
	return leftovers.error < 0 ? leftovers.error : leftovers.n_found;
}
