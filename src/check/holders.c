/* A list of holders. Runs in `vprox check`. */
#include "check/holders.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

int holders_add(struct holder_list *holders, const struct holder *holder)
{
	struct holder *grown = array_grow(holders->list, holders->n, sizeof *grown);

	if (!grown)
		return -ENOMEM;
	holders->list = grown;
	grown[holders->n++] = *holder;
	return 0;
}

static int compare_addresses(struct ipv4 a, struct ipv4 b)
{
	return (a.value > b.value) - (a.value < b.value);
}

int holders_compare(const struct holder *a, const struct holder *b)
{
	int order = compare_addresses(a->bind, b->bind);

	if (order == 0)
		order = (int)a->peer.kind - (int)b->peer.kind;
	if (order != 0)
		return order;
	return a->peer.kind == PEER_WIREGUARD
		       ? memcmp(&a->peer.key, &b->peer.key, sizeof a->peer.key)
		       : compare_addresses(a->peer.remote, b->peer.remote);
}

static int compare_entries(const void *first, const void *second)
{
	const struct holder *a = first, *b = second;
	int order = holders_compare(a, b);

	return order != 0 ? order : compare_addresses(a->peer.inner, b->peer.inner);
}

void holders_sort(struct holder_list *holders)
{
	if (holders->n > 0)
		qsort(holders->list, holders->n, sizeof *holders->list, compare_entries);
}

int holders_select(const struct holder_list *holders, struct ipv4 bind, const struct prefix *block,
	struct holder_list *selected)
{
	int error = 0;

	for (size_t i = 0; i < holders->n && error == 0; i++) {
		const struct holder *holder = &holders->list[i];

		if (ipv4_equal(holder->bind, bind) &&
			(!block || prefix_contains(*block, holder->peer.inner)))
			error = holders_add(selected, holder);
	}
	return error;
}

void holders_free(struct holder_list *holders)
{
	free(holders->list);
	*holders = (struct holder_list){0};
}
