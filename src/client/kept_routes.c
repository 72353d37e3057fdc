/* Judges which of the host's routes --route leaves as they are. Runs in the client. */
#include "client/kept_routes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <linux/rtnetlink.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "client/mark.h"
#include "netlink/route.h"

enum {
	/* Who has an address in a public network that is larger was told so by somebody, such as a
	 * DHCP server. */
	LARGEST_CONNECTED = 16,
	MAX_NAMED = 16, /* in the log at a time */
};

/* Link-local addresses, metadata services of clouds among them; and Azure's, which has DNS and the
 * agent's server too. */
static const struct prefix default_exceptions[] = {
	{{0xa9fe0000}, 16}, /* 169.254.0.0/16 */
	{{0xa83f8110}, 32}, /* 168.63.129.16 */
};

const struct prefix *kept_routes_defaults(const struct client_config *config, size_t *n)
{
	*n = config->no_default_exceptions ? 0
					   : sizeof default_exceptions / sizeof *default_exceptions;
	return default_exceptions;
}

/* Whether it would take something out of a --route. */
static bool is_within_routes(const struct client_config *config, struct prefix prefix)
{
	for (size_t i = 0; i < config->n_routes; i++)
		if (config->routes[i].length <= prefix.length &&
			prefix_contains(config->routes[i], prefix.address))
			return true;
	return false;
}

bool kept_routes_has(const struct kept_routes *routes, struct prefix prefix)
{
	for (size_t i = 0; i < routes->n_kept; i++)
		if (prefix_equal(routes->kept[i], prefix))
			return true;
	return false;
}

static void keep(
	const struct client_config *config, struct prefix prefix, struct kept_routes *routes)
{
	if (is_within_routes(config, prefix) && !kept_routes_has(routes, prefix))
		routes->kept[routes->n_kept++] = prefix;
}

/* A network's route is the kernel's own: one that DHCP has brought may be as large as it likes. */
static bool stays(const struct route *route)
{
	return prefix_is_private(route->destination) ||
	       (route->scope >= RT_SCOPE_LINK && route->protocol == RTPROT_KERNEL &&
		       route->destination.length >= LARGEST_CONNECTED);
}

static bool is_the_hosts(const struct route *route, unsigned int ifindex)
{
	return route->destination.length > 0 && route->oif != ifindex &&
	       route->protocol != CLIENT_PROTOCOL;
}

static int compare_lengths(const void *a, const void *b)
{
	const struct prefix *one = a, *other = b;

	if (one->length != other->length)
		return one->length < other->length ? -1 : 1;
	return one->address.value < other->address.value
		       ? -1
		       : one->address.value > other->address.value;
}

static void keep_exceptions(const struct client_config *config, struct kept_routes *routes)
{
	for (size_t i = 0; i < config->n_exceptions; i++)
		keep(config, config->exceptions[i], routes);
	if (config->no_default_exceptions)
		return;
	for (size_t i = 0; i < sizeof default_exceptions / sizeof *default_exceptions; i++)
		keep(config, default_exceptions[i], routes);
}

int kept_routes_choose(const struct client_config *config, const struct route *all, size_t n,
	unsigned int ifindex, struct kept_routes *routes)
{
	const size_t most = n + MAX_ROUTES + sizeof default_exceptions / sizeof *default_exceptions;

	routes->kept = calloc(most, sizeof *routes->kept);
	routes->passed_over = calloc(n + 1, sizeof *routes->passed_over);
	if (!routes->kept || !routes->passed_over)
		return -ENOMEM;
	keep_exceptions(config, routes);
	for (size_t i = 0; i < n; i++)
		if (is_the_hosts(&all[i], ifindex) && stays(&all[i]))
			keep(config, all[i].destination, routes);
	for (size_t i = 0; i < n; i++)
		if (is_the_hosts(&all[i], ifindex) && !stays(&all[i]) &&
			is_within_routes(config, all[i].destination) &&
			!kept_routes_has(routes, all[i].destination))
			routes->passed_over[routes->n_passed_over++] = all[i];
	qsort(routes->kept, routes->n_kept, sizeof *routes->kept, compare_lengths);
	return 0;
}

int kept_routes_read(struct netlink *netlink, const struct client_config *config,
	unsigned int ifindex, struct kept_routes *routes)
{
	const struct route_filter filter = {.table = RT_TABLE_MAIN, .type = RTN_UNICAST};
	auto_free struct route *all = NULL;
	size_t n = 0;
	int error = route_dump(netlink, &filter, &all, &n);

	*routes = (struct kept_routes){0};
	return error < 0 ? error : kept_routes_choose(config, all, n, ifindex, routes);
}

void kept_routes_free(struct kept_routes *routes)
{
	free(routes->kept);
	free(routes->passed_over);
	*routes = (struct kept_routes){0};
}

static bool was_passed_over(const struct kept_routes *former, const struct route *route)
{
	for (size_t i = 0; i < former->n_passed_over; i++)
		if (prefix_equal(former->passed_over[i].destination, route->destination))
			return true;
	return false;
}

static void log_passed_over(const struct kept_routes *former, const struct kept_routes *routes)
{
	size_t n = 0;

	for (size_t i = 0; i < routes->n_passed_over; i++) {
		const struct route *route = &routes->passed_over[i];

		if (was_passed_over(former, route) || n++ >= MAX_NAMED)
			continue;
		log_warning("this host's route to %s by %s does not count: --route takes these "
			    "addresses into the tunnel; --except %s leaves them out",
			prefix_text(route->destination).s, ipv4_text(route->gateway).s,
			prefix_text(route->destination).s);
	}
	if (n > MAX_NAMED)
		log_warning("%zu more of this host's routes do not count", n - MAX_NAMED);
}

static bool is_same(const struct kept_routes *former, const struct kept_routes *routes)
{
	bool same = former->n_kept == routes->n_kept;

	for (size_t i = 0; i < routes->n_kept && same; i++)
		same = prefix_equal(former->kept[i], routes->kept[i]);
	return same;
}

static void log_kept(const struct kept_routes *routes)
{
	auto_free char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return;
	for (size_t i = 0; i < routes->n_kept; i++)
		fprintf(out, "%s%s", i == 0 ? "" : ", ", prefix_text(routes->kept[i]).s);
	if (fclose(out) == 0)
		log_info("not through the tunnel: %s", routes->n_kept > 0 ? text : "nothing");
}

void kept_routes_log(const struct kept_routes *former, const struct kept_routes *routes)
{
	if (!is_same(former, routes))
		log_kept(routes);
	log_passed_over(former, routes);
}
