/* Cuts what is kept out of what is routed. Runs in the client. */
#include "client/blocked_ranges.h"

#include <errno.h>
#include <stdlib.h>

enum {
	ALL_OF_IPV4 = 1, /* the longest prefix that is meant to be, with others */
};

/* Places at which another prefix may begin to decide. One more than the last address is a place. */
struct places {
	uint64_t *places;
	size_t n;
};

static void add(struct places *places, struct prefix prefix)
{
	places->places[places->n++] = prefix.address.value;
	places->places[places->n++] = (uint64_t)prefix_last(prefix).value + 1;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *one = a, *other = b;

	return *one < *other ? -1 : *one > *other;
}

static int list_places(
	const struct client_config *config, const struct kept_routes *kept, struct places *places)
{
	places->places = calloc(2 * (config->n_routes + kept->n_kept) + 1, sizeof *places->places);
	places->n = 0;
	if (!places->places)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_routes; i++)
		add(places, config->routes[i]);
	for (size_t i = 0; i < kept->n_kept; i++)
		add(places, kept->kept[i]);
	qsort(places->places, places->n, sizeof *places->places, compare);
	return 0;
}

/* The length of the longest prefix that has the address; -1: none. */
static int longest(const struct prefix *prefixes, size_t n, struct ipv4 address)
{
	int length = -1;

	for (size_t i = 0; i < n; i++)
		if (prefixes[i].length > length && prefix_contains(prefixes[i], address))
			length = prefixes[i].length;
	return length;
}

static bool is_blocked(
	const struct client_config *config, const struct kept_routes *kept, struct ipv4 address)
{
	return longest(config->routes, config->n_routes, address) >
	       longest(kept->kept, kept->n_kept, address);
}

static void append(struct address_range *ranges, size_t *n, uint64_t first, uint64_t end)
{
	const struct ipv4 last = {(uint32_t)(end - 1)};

	if (*n > 0 && (uint64_t)ranges[*n - 1].last.value + 1 == first)
		ranges[*n - 1].last = last;
	else
		ranges[(*n)++] = (struct address_range){{(uint32_t)first}, last};
}

int blocked_ranges(const struct client_config *config, const struct kept_routes *kept,
	struct address_range **ranges, size_t *n)
{
	struct places places;
	int error = list_places(config, kept, &places);

	*n = 0;
	*ranges = error < 0 ? NULL : calloc(places.n + 1, sizeof **ranges);
	for (size_t i = 0; *ranges && i + 1 < places.n; i++)
		if (places.places[i] < places.places[i + 1] &&
			is_blocked(config, kept, (struct ipv4){(uint32_t)places.places[i]}))
			append(*ranges, n, places.places[i], places.places[i + 1]);
	free(places.places);
	return *ranges ? 0 : -ENOMEM;
}

bool blocked_ranges_has_all(const struct client_config *config)
{
	for (size_t i = 0; i < config->n_routes; i++)
		if (config->routes[i].length <= ALL_OF_IPV4)
			return true;
	return false;
}
