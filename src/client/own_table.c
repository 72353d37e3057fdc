/* Loads, checks and removes a table of a client's. Runs in the client, and in `vprox clean`. */
#include "client/own_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netfilter.h>

#include "base/cleanup.h"
#include "base/log.h"

/* Without regard to the language of the environment. */
static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '-';
}

struct own_table own_table_for(const char *prefix, const char *interface)
{
	struct own_table table = {0};
	size_t n = (size_t)snprintf(table.name, sizeof table.name, "%s", prefix);

	for (const char *p = interface; *p && n + 4 <= sizeof table.name; p++)
		n += (size_t)snprintf(table.name + n, sizeof table.name - n,
			is_plain(*p) ? "%c" : "_%02x", is_plain(*p) ? *p : (unsigned char)*p);
	return table;
}

/* One character of the interface's name; *text is moved behind it. False: it is none. */
static bool decode(const char **text, char *c)
{
	unsigned int value;
	int n = 0;

	if (is_plain(**text)) {
		*c = *(*text)++;
		return true;
	}
	if (sscanf(*text, "_%2x%n", &value, &n) != 1 || n != 3)
		return false;
	*c = (char)value;
	*text += n;
	return true;
}

bool own_table_interface(const char *name, const char *prefix, char *interface, size_t size)
{
	size_t n = 0;

	if (strncmp(name, prefix, strlen(prefix)) != 0)
		return false;
	name += strlen(prefix);
	while (*name && n + 1 < size)
		if (!decode(&name, &interface[n++]))
			return false;
	interface[n] = '\0';
	return n > 0 && *name == '\0';
}

static struct loaded_tables_names names_for(const struct own_table *table)
{
	return (struct loaded_tables_names){
		.name = table->name, .families = {NFPROTO_INET}, .n_families = 1};
}

static int load(struct own_table *table, const char *text, struct nft_error *reason)
{
	const struct loaded_tables_names names = names_for(table);
	auto_free char *commands = NULL;

	if (asprintf(&commands, "table inet %s\ndelete table inet %s\ntable inet %s {\n%s}\n",
		    table->name, table->name, table->name, text) < 0) {
		commands = NULL;
		snprintf(reason->text, sizeof reason->text, "out of memory");
		return -ENOMEM;
	}
	return loaded_tables_load(&names, &table->loaded, commands, reason);
}

static bool is_as_loaded(struct own_table *table)
{
	const struct loaded_tables_names names = names_for(table);
	const int result = loaded_tables_compare(&names, &table->loaded);

	if (result == LOADED_TABLES_SAME)
		return true;
	if (result < 0)
		log_warning("cannot read the nftables table inet %s, loading it again: %s",
			table->name, strerror(-result));
	else if (result == LOADED_TABLES_CHANGED)
		log_warning("another program has changed or removed the nftables table inet %s: "
			    "loading it again",
			table->name);
	return false;
}

int own_table_set(struct own_table *table, const char *text, struct nft_error *reason)
{
	char *copy;
	int error;

	if (table->text && strcmp(table->text, text) == 0 && is_as_loaded(table))
		return 0;
	copy = strdup(text);
	error = copy ? load(table, text, reason) : -ENOMEM;
	if (error < 0) {
		free(copy);
		return error;
	}
	free(table->text);
	table->text = copy;
	return 0;
}

uint64_t own_table_wait_ms(const struct own_table *table)
{
	return table->text ? loaded_tables_wait_ms(&table->loaded) : 0;
}

static bool is_without_nftables(int error)
{
	return error == -EPROTONOSUPPORT || error == -EOPNOTSUPP || error == -EINVAL;
}

int own_table_exists(const struct own_table *table)
{
	uint8_t digest[TABLE_DIGEST_SIZE];
	int error = table_digest(NFPROTO_INET, table->name, digest);

	if (error == 0)
		return 1;
	return error == -ENOENT || is_without_nftables(error) ? 0 : error;
}

int own_table_remove(struct own_table *table, struct nft_error *reason)
{
	auto_free char *commands = NULL;

	own_table_forget(table);
	if (own_table_exists(table) == 0)
		return 0;
	if (asprintf(&commands, "table inet %s\ndelete table inet %s\n", table->name, table->name) <
		0) {
		commands = NULL;
		snprintf(reason->text, sizeof reason->text, "out of memory");
		return -ENOMEM;
	}
	return nft_run(commands, reason);
}

void own_table_forget(struct own_table *table)
{
	free(table->text);
	table->text = NULL;
	table->loaded = (struct loaded_tables){0};
}
