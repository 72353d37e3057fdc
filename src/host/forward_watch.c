/*
 * Compares what our table lets pass with what leaves the host. Runs in the broker, every 5 s: one
 * netlink message.
 */
#include "host/forward_watch.h"

#include <stdlib.h>
#include <string.h>
#include <linux/netfilter.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "host/suspects.h"
#include "nftables/ruleset.h"

enum {
	LEAST_LOST = 10, /* packets: fewer may be on their way, or one client's mistake */
	/* What was lost before a firewall was opened is no news a check later. */
	LEAST_CHECKS = 2,
};

/* firewall_flows.c has the same. */
static const char table_name[] = "vprox";
static const char forwarded[] = "new_forwarded", leaving[] = "new_leaving";
static const char *const limits[] = {"refused_rate", "refused_flows", "refused_full"};

/* A table that was loaded again counts from 0. */
static uint64_t added(uint64_t before, uint64_t now)
{
	return now < before ? now : now - before;
}

bool forward_watch_update(struct forward_watch *watch, const struct forward_counts *counts)
{
	const uint64_t n_forwarded = added(watch->last.forwarded, counts->forwarded);
	const uint64_t n_refused = added(watch->last.refused, counts->refused);
	const uint64_t n_lost = n_forwarded > n_refused ? n_forwarded - n_refused : 0;
	const bool some_left = added(watch->last.leaving, counts->leaving) > 0;
	const bool was_reported = watch->is_reported;

	watch->last = *counts;
	if (some_left) {
		watch->n_lost = watch->n_checks = 0;
		watch->is_reported = false;
		return was_reported;
	}
	watch->n_lost += n_lost;
	watch->n_checks += n_lost > 0;
	if (was_reported || watch->n_lost < LEAST_LOST || watch->n_checks < LEAST_CHECKS)
		return false;
	watch->is_reported = true;
	return true;
}

static void report(const struct forward_watch *watch, const char *legacy)
{
	auto_free char *suspects = NULL;

	if (!watch->is_reported) {
		log_info("new connections of tunnels get past this host's other firewalls again");
		return;
	}
	suspects = forward_suspects(legacy);
	log_warning("none of the last %llu packets that were to begin connections of tunnels got "
		    "past this host's other firewalls. What may have dropped them: %s. Add rules "
		    "before that accept what comes from and what goes to the interfaces vprox* "
		    "and vp<number>-*",
		(unsigned long long)watch->n_lost,
		suspects && *suspects ? suspects : "no rule that this server understands");
}

static bool is_limit(const char *name)
{
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
		if (strcmp(name, limits[i]) == 0)
			return true;
	return false;
}

static int read_counts(struct forward_counts *counts)
{
	auto_free struct ruleset_counter *counters = NULL;
	size_t n;
	int error = ruleset_counters(NFPROTO_IPV4, table_name, &counters, &n);

	*counts = (struct forward_counts){0};
	for (size_t i = 0; error == 0 && i < n; i++) {
		if (strcmp(counters[i].name, forwarded) == 0)
			counts->forwarded = counters[i].packets;
		else if (strcmp(counters[i].name, leaving) == 0)
			counts->leaving = counters[i].packets;
		else if (is_limit(counters[i].name))
			counts->refused += counters[i].packets;
	}
	return error;
}

void forward_watch_check(struct forward_watch *watch, const char *legacy)
{
	struct forward_counts counts;

	/* That the table cannot be read is the firewall's to say. */
	if (read_counts(&counts) == 0 && forward_watch_update(watch, &counts))
		report(watch, legacy);
}
