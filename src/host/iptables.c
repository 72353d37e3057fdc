/*
 * Starts the programs of iptables, reads and writes their text. They block, so the broker does
 * this at its start and end, and else in a thread, when iptables-legacy has changed; `vprox clean`
 * does too.
 */
#include "host/iptables.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <linux/netfilter.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "nftables/ruleset.h"

enum {
	NAMES_MAX_SIZE = 4096,
	TIMEOUT_MS = 10000, /* of a program; longer than lock_wait */
};

/* One line for each table that the kernel has made for the legacy iptables in this network
 * namespace. */
static const char legacy_names_path[] = "/proc/net/ip_tables_names";
static const char *const table_names[] = {"filter", "nat", "mangle", "raw", "security"};
/* Seconds to wait for another iptables that is at work; only the legacy one has that lock. */
static const char lock_wait[] = "5";

const char *iptables_kind_name(enum iptables_kind kind)
{
	return kind == IPTABLES_NFT ? "iptables-nft" : "iptables-legacy";
}

static bool is_table_of_iptables(const struct ruleset_chain *chain)
{
	if (chain->family != NFPROTO_IPV4)
		return false;
	for (size_t i = 0; i < sizeof table_names / sizeof *table_names; i++)
		if (strcmp(chain->table, table_names[i]) == 0)
			return true;
	return false;
}

bool iptables_in_use(enum iptables_kind kind)
{
	auto_free struct ruleset_chain *chains = NULL;
	auto_free char *names = NULL;
	size_t n = 0;

	if (kind == IPTABLES_LEGACY)
		return file_read(legacy_names_path, NAMES_MAX_SIZE, &names, &n) == 0 && n > 0;
	return ruleset_chains(is_table_of_iptables, &chains, &n) == 0 && n > 0;
}

bool iptables_legacy_has_filter(void)
{
	auto_free char *names = NULL;
	char *rest, *name;
	size_t n = 0;

	if (file_read(legacy_names_path, NAMES_MAX_SIZE, &names, &n) < 0)
		return false;
	rest = names;
	while ((name = strsep(&rest, "\n")))
		if (strcmp(name, "filter") == 0)
			return true;
	return false;
}

int iptables_save(enum iptables_kind kind, char **text, struct run_error *error)
{
	static const char *const nft[] = {"iptables-nft-save", NULL};
	static const char *const legacy[] = {"iptables-legacy-save", NULL};
	static const char *const plain[] = {"iptables-save", NULL};
	int result =
		run_program(kind == IPTABLES_NFT ? nft : legacy, NULL, TIMEOUT_MS, text, error);

	/* Where only one kind is installed it may have the plain name. */
	return result == -ENOENT ? run_program(plain, NULL, TIMEOUT_MS, text, error) : result;
}

int iptables_walk(const char *saved, iptables_line_fn *found, void *context)
{
	auto_free char *copy = strdup(saved);
	const char *table = NULL;
	char *rest = copy;
	char *line;

	if (!copy)
		return -ENOMEM;
	while ((line = strsep(&rest, "\n"))) {
		if (*line == '*') {
			table = line + 1;
			continue;
		}
		if (table && *line)
			found(context, table, line);
		if (strcmp(line, "COMMIT") == 0)
			table = NULL;
	}
	return 0;
}

int iptables_restore(enum iptables_kind kind, const char *batch, struct run_error *error)
{
	static const char *const nft[] = {"iptables-nft-restore", "--noflush", NULL};
	static const char *const legacy[] = {
		"iptables-legacy-restore", "--noflush", "--wait", lock_wait, NULL};
	static const char *const plain[] = {
		"iptables-restore", "--noflush", "--wait", lock_wait, NULL};
	int result =
		run_program(kind == IPTABLES_NFT ? nft : legacy, batch, TIMEOUT_MS, NULL, error);

	return result == -ENOENT ? run_program(plain, batch, TIMEOUT_MS, NULL, error) : result;
}
