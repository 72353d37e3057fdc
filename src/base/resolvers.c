/* Lists of name servers. Runs in the server's process, its gates, and the client with its request
 * process. */
#include "base/resolvers.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* RFC 1122 3.2.1.3, RFC 3927, RFC 5771, RFC 1112 4. */
static bool can_be_reached(struct ipv4 address)
{
	static const struct prefix never[] = {
		{{0}, 8}, {{0x7f000000}, 8}, {{0xa9fe0000}, 16}, {{0xe0000000}, 3}};

	for (size_t i = 0; i < sizeof never / sizeof *never; i++)
		if (prefix_contains(never[i], address))
			return false;
	return true;
}

int resolvers_add(struct resolvers *resolvers, struct ipv4 address)
{
	if (!can_be_reached(address))
		return -EINVAL;
	if (ipv4_is_among(address, resolvers->addresses, resolvers->n))
		return -EEXIST;
	if (resolvers->n == RESOLVERS_MAX)
		return -ENOSPC;
	resolvers->addresses[resolvers->n++] = address;
	return 0;
}

void resolvers_check(struct resolvers *resolvers)
{
	const struct resolvers given = *resolvers;

	*resolvers = (struct resolvers){0};
	for (uint32_t i = 0; i < given.n && i < RESOLVERS_MAX; i++)
		resolvers_add(resolvers, given.addresses[i]);
}

struct resolvers_text resolvers_text(const struct resolvers *resolvers)
{
	struct resolvers_text text = {""};
	size_t used = 0;

	for (uint32_t i = 0; i < resolvers->n; i++)
		used += (size_t)snprintf(text.s + used, sizeof text.s - used, "%s%s",
			i > 0 ? " " : "", ipv4_text(resolvers->addresses[i]).s);
	return text;
}
