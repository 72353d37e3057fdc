/* Fills the routing table of --route. Runs in the client. */
#include "client/route_table.h"

#include <errno.h>
#include <stdlib.h>

#include <linux/rtnetlink.h>

#include "base/cleanup.h"
#include "client/mark.h"
#include "netlink/route.h"

enum {
	LAST_METRIC = INT32_MAX, /* of what counts where there is nothing else */
};

static int read_table(struct netlink *netlink, uint32_t table, struct route **found, size_t *n)
{
	const struct route_filter filter = {.table = table};

	return route_dump(netlink, &filter, found, n);
}

/* -ESRCH: somebody else has, or the interface took it along. */
static int remove_route(struct netlink *netlink, const struct route *route)
{
	int error = route_delete(netlink, route);

	return error == -ESRCH ? 0 : error;
}

int route_table_clear(struct netlink *netlink, uint32_t table)
{
	auto_free struct route *found = NULL;
	size_t n = 0;
	int error = read_table(netlink, table, &found, &n);

	for (size_t i = 0; i < n && error == 0; i++)
		error = remove_route(netlink, &found[i]);
	return error;
}

/* Whatever its metric and scope are: a lookup would find it. */
static bool is_there(const struct route *found, size_t n, const struct route *wanted)
{
	for (size_t i = 0; i < n; i++)
		if (prefix_equal(found[i].destination, wanted->destination) &&
			found[i].type == wanted->type && found[i].oif == wanted->oif)
			return true;
	return false;
}

static struct route through_tunnel(struct prefix prefix, unsigned int ifindex)
{
	struct route route = route_of_link(prefix, ifindex);

	route.protocol = CLIENT_PROTOCOL;
	return route;
}

/* The lookup goes on behind the rule that has led here. */
static struct route out_of_table(struct prefix prefix)
{
	return (struct route){
		.destination = prefix, .protocol = CLIENT_PROTOCOL, .type = RTN_THROW};
}

/* Where the interface is gone, nothing goes another way. */
static struct route nowhere(struct prefix prefix)
{
	return (struct route){.destination = prefix,
		.protocol = CLIENT_PROTOCOL,
		.type = RTN_UNREACHABLE,
		.metric = LAST_METRIC};
}

/* All that the table is to have, which is returned, and how much; NULL if there is no memory. What
 * stays as it is comes first, so that it is never in the tunnel meanwhile. */
static struct route *list_wanted(const struct client_config *config, unsigned int ifindex,
	const struct kept_routes *kept, size_t *n)
{
	struct route *wanted = calloc(kept->n_kept + 2 * config->n_routes + 1, sizeof *wanted);

	*n = 0;
	if (!wanted)
		return NULL;
	for (size_t i = 0; i < kept->n_kept; i++)
		wanted[(*n)++] = out_of_table(kept->kept[i]);
	for (size_t i = 0; i < config->n_routes; i++) {
		if (kept_routes_has(kept, config->routes[i]))
			continue;
		wanted[(*n)++] = nowhere(config->routes[i]);
		wanted[(*n)++] = through_tunnel(config->routes[i], ifindex);
	}
	return wanted;
}

int route_table_set(struct netlink *netlink, const struct client_config *config, uint32_t table,
	unsigned int ifindex, const struct kept_routes *kept)
{
	auto_free struct route *found = NULL, *wanted = NULL;
	size_t n_wanted = 0, n_found = 0;
	int error = read_table(netlink, table, &found, &n_found);

	wanted = list_wanted(config, ifindex, kept, &n_wanted);
	if (!wanted)
		return -ENOMEM;
	for (size_t i = 0; i < n_wanted && error == 0; i++) {
		wanted[i].table = table;
		if (!is_there(found, n_found, &wanted[i]))
			error = route_set(netlink, &wanted[i]);
	}
	for (size_t i = 0; i < n_found && error == 0; i++)
		if (!is_there(wanted, n_wanted, &found[i]))
			error = remove_route(netlink, &found[i]);
	return error;
}
