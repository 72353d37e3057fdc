/* Orders a server's addresses by what came of them. No state of its own; runs in the client. */
#include "client/address_order.h"

#include <string.h>

static void append(struct request_names *sorted, struct ipv4 address)
{
	if (sorted->n < REQUEST_ADDRESSES_MAX &&
		!ipv4_is_among(address, sorted->addresses, sorted->n))
		sorted->addresses[sorted->n++] = address;
}

void address_order_sort(const struct address_order *order, const struct request_names *names,
	struct request_names *sorted)
{
	*sorted = (struct request_names){0};
	if (ipv4_is_among(order->last_good, names->addresses, names->n))
		append(sorted, order->last_good);
	for (uint32_t i = 0; i < names->n; i++)
		if (!ipv4_is_among(names->addresses[i], order->failed, order->n_failed))
			append(sorted, names->addresses[i]);
	for (size_t i = 0; i < order->n_failed; i++)
		if (ipv4_is_among(order->failed[i], names->addresses, names->n))
			append(sorted, order->failed[i]);
}

/* Room is made for it, or it is moved behind the others. */
static void remove_one(struct address_order *order, struct ipv4 address)
{
	size_t i = 0;

	while (i < order->n_failed && !ipv4_equal(order->failed[i], address))
		i++;
	if (i == order->n_failed && order->n_failed < REQUEST_ADDRESSES_MAX)
		return;
	if (i == order->n_failed)
		i = 0;
	order->n_failed--;
	memmove(&order->failed[i], &order->failed[i + 1],
		(order->n_failed - i) * sizeof *order->failed);
}

void address_order_fail(struct address_order *order, struct ipv4 address)
{
	remove_one(order, address);
	order->failed[order->n_failed++] = address;
}

void address_order_prove(struct address_order *order, struct ipv4 address)
{
	order->last_good = address;
	order->n_failed = 0;
}

bool address_order_doubt(struct address_order *order, struct ipv4 address)
{
	if (ipv4_equal(order->last_good, address)) {
		order->last_good = (struct ipv4){0};
		return false;
	}
	address_order_fail(order, address);
	return true;
}
