/*
 * Loads tables, keeps what they were then, and compares. Runs in the broker and in clients; it
 * blocks until the kernel has answered.
 */
#include "nftables/loaded_tables.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "nftables/ruleset.h"

enum {
	LOADS = 3, /* one after the other, while others change nftables too */
	FIRST_DELAY_MS = 5 * 1000,
	MAX_DELAY_MS = 10 * 60 * 1000,
};

int loaded_tables_digest(
	const struct loaded_tables_names *names, uint8_t digest[LOADED_TABLES_DIGEST_SIZE])
{
	int error = 0;

	memset(digest, 0, LOADED_TABLES_DIGEST_SIZE);
	for (size_t i = 0; i < names->n_families && error == 0; i++)
		error = table_digest(
			names->families[i], names->name, digest + i * TABLE_DIGEST_SIZE);
	return error;
}

/* A table that cannot be read because it is gone, or because others never rest. */
static bool is_of_others(int error)
{
	return error == -ENOENT || error == -EINTR;
}

int loaded_tables_inspect(
	const struct loaded_tables_names *names, const struct loaded_tables *tables)
{
	uint8_t digest[LOADED_TABLES_DIGEST_SIZE];
	const int error = loaded_tables_digest(names, digest);

	if (error < 0)
		return is_of_others(error) ? LOADED_TABLES_CHANGED : error;
	return memcmp(digest, tables->digest, sizeof digest) == 0 ? LOADED_TABLES_SAME
								  : LOADED_TABLES_CHANGED;
}

/*
 * Reads what our own transaction has made of the tables, and whether it was the only one from the
 * given generation to the end of this reading. net/netfilter/nf_tables_api.c, nf_tables_commit():
 * each moves the generation on by one. That it skips 0 once in 2^32 is taken for another program's.
 * Returns 0; -ESTALE: it was not; or -errno: they cannot be read.
 */
static int read_own(
	const struct loaded_tables_names *names, struct loaded_tables *tables, uint32_t generation)
{
	uint32_t now;
	int error;

	/* Until it is known better, the next call compares. */
	tables->generation = generation;
	error = loaded_tables_digest(names, tables->digest);
	if (error == 0)
		error = ruleset_generation(&now);
	if (error < 0)
		return is_of_others(error) ? -ESTALE : error;
	if (now != generation + 1)
		return -ESTALE;
	tables->generation = now;
	return 0;
}

static void set_certain(struct loaded_tables *tables, bool is_certain)
{
	tables->is_uncertain = !is_certain;
	if (is_certain) {
		tables->delay = 0;
		return;
	}
	tables->delay = tables->delay == 0 ? FIRST_DELAY_MS : 2 * tables->delay;
	if (tables->delay > MAX_DELAY_MS)
		tables->delay = MAX_DELAY_MS;
	tables->next_load = clock_now_ms(&system_clock) + tables->delay;
}

/* As nft_run(); *doubt becomes 0 where what was loaded is there for certain, else as read_own(). */
static int load(const struct loaded_tables_names *names, struct loaded_tables *tables,
	const char *commands, int *doubt, struct nft_error *reason)
{
	uint32_t before = 0;
	const int unknown = ruleset_generation(&before);
	const int error = nft_run(commands, reason);

	if (error < 0)
		return error;
	*doubt = read_own(names, tables, before);
	if (unknown < 0)
		*doubt = unknown;
	return 0;
}

static void report_doubt(
	const struct loaded_tables_names *names, const struct loaded_tables *tables, int doubt)
{
	const char *family = ruleset_family_name(names->families[0]);
	const unsigned long long delay_s = tables->delay / 1000;

	if (doubt == -ESTALE)
		log_warning("other programs changed nftables each time that the table %s %s was "
			    "loaded: whether it is as it should be is not known, and it is loaded "
			    "again in %llu s",
			family, names->name, delay_s);
	else
		log_warning("the nftables table %s %s was loaded and cannot be read: %s: whether "
			    "it is as it should be is not known, and it is loaded again in %llu s",
			family, names->name, strerror(-doubt), delay_s);
}

int loaded_tables_load(const struct loaded_tables_names *names, struct loaded_tables *tables,
	const char *commands, struct nft_error *reason)
{
	int doubt = -ESTALE;

	for (int i = 0; i < LOADS && doubt == -ESTALE; i++) {
		const int error = load(names, tables, commands, &doubt, reason);

		if (error < 0) {
			/* What they are is not known: an earlier try may have loaded them. */
			set_certain(tables, false);
			return error;
		}
	}
	set_certain(tables, doubt == 0);
	if (doubt < 0)
		report_doubt(names, tables, doubt);
	return 0;
}

int loaded_tables_compare(const struct loaded_tables_names *names, struct loaded_tables *tables)
{
	uint32_t generation;
	/* Before the tables: after a change between the two, the next call compares again. */
	const int error = ruleset_generation(&generation);
	int result;

	if (error < 0)
		return error;
	if (tables->is_uncertain && clock_now_ms(&system_clock) >= tables->next_load)
		return LOADED_TABLES_UNCERTAIN;
	if (generation == tables->generation)
		return LOADED_TABLES_SAME;
	result = loaded_tables_inspect(names, tables);
	if (result < 0 && !tables->is_uncertain)
		set_certain(tables, false);
	if (result != LOADED_TABLES_SAME)
		return result;
	if (names->has_sets && !names->has_sets(names->context))
		return LOADED_TABLES_CHANGED;
	tables->generation = generation;
	return LOADED_TABLES_SAME;
}

static int stale(const char *why, struct nft_error *reason)
{
	snprintf(reason->text, sizeof reason->text, "%s", why);
	return -ESTALE;
}

int loaded_tables_change(const struct loaded_tables_names *names, struct loaded_tables *tables,
	const char *commands, struct nft_error *reason)
{
	int result = loaded_tables_compare(names, tables);

	if (result == LOADED_TABLES_UNCERTAIN)
		return stale("others changed nftables while it was loaded", reason);
	if (result < 0)
		return stale(strerror(-result), reason);
	if (result != LOADED_TABLES_SAME)
		return stale("another program has changed or removed it", reason);
	result = nft_run(commands, reason);
	if (result < 0)
		return result;
	result = read_own(names, tables, tables->generation);
	if (result == 0)
		return 0;
	return stale(result == -ESTALE ? "another program changed nftables at the same time"
				       : strerror(-result),
		reason);
}

void loaded_tables_follow(struct loaded_tables *tables, struct netlink *netlink, uint32_t n)
{
	uint32_t now;

	if (ruleset_generation_by(netlink, &now) == 0 && now == tables->generation + n)
		tables->generation = now;
}

uint64_t loaded_tables_wait_ms(const struct loaded_tables *tables)
{
	const uint64_t now = clock_now_ms(&system_clock);

	if (!tables->is_uncertain)
		return 0;
	/* What was due has failed, be it before anything was loaded: not at once again. */
	return now < tables->next_load ? tables->next_load - now : FIRST_DELAY_MS;
}
