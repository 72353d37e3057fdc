/* What --route names less what stays as it is, as ranges: what the block is about. The longest
 * prefix decides, as in the routing table (route_table.h). */
#pragma once

#include "client/config.h"
#include "client/kept_routes.h"

struct address_range {
	struct ipv4 first, last; /* both in it */
};

/* The ranges, the lowest first, none touching the next. The array is the caller's to free. Returns
 * 0 or -ENOMEM. */
int blocked_ranges(const struct client_config *config, const struct kept_routes *kept,
	struct address_range **ranges, size_t *n);

/* Whether all of IPv4 is meant, so that IPv6 is blocked too unless --ipv6 says otherwise:
 * 0.0.0.0/0, or a half of it. */
bool blocked_ranges_has_all(const struct client_config *config);
