/* The list of the endpoints that a gate serves. Runs in the gate's one thread. */
#include "gate/served.h"

#include <errno.h>
#include <stdlib.h>

static struct gate_endpoint *find(const struct served_set *served, struct ipv4 bind)
{
	for (size_t i = 0; i < served->n; i++)
		if (ipv4_equal(served->endpoints[i].bind, bind))
			return &served->endpoints[i];
	return NULL;
}

int served_add(struct served_set *served, const struct gate_endpoint *endpoint)
{
	struct gate_endpoint *place = find(served, endpoint->bind);
	struct gate_endpoint *grown;

	if (place) {
		*place = *endpoint;
		return 0;
	}
	grown = reallocarray(served->endpoints, served->n + 1, sizeof *grown);
	if (!grown)
		return -ENOMEM;
	grown[served->n++] = *endpoint;
	served->endpoints = grown;
	return 0;
}

void served_remove(struct served_set *served, struct ipv4 bind)
{
	struct gate_endpoint *place = find(served, bind);

	if (place)
		*place = served->endpoints[--served->n];
}

const struct gate_endpoint *served_find(const struct served_set *served, struct ipv4 bind)
{
	return find(served, bind);
}

bool served_is_inner(const struct served_set *served, struct ipv4 address)
{
	for (size_t i = 0; i < served->n; i++)
		if (prefix_contains(served->endpoints[i].block, address))
			return true;
	return false;
}

void served_free(struct served_set *served)
{
	free(served->endpoints);
	*served = (struct served_set){0};
}
