/* Orders a server's addresses by what came of them. No state of its own; runs in the client. */
#include "client/address_order.h"

#include <string.h>

static bool is_in(const struct ipv4 *addresses, size_t n, struct ipv4 address)
{
	for (size_t i = 0; i < n; i++)
		if (ipv4_equal(addresses[i], address))
			return true;
	return false;
}

static void append(struct request_names *sorted, struct ipv4 address)
{
	if (sorted->n < REQUEST_ADDRESSES_MAX && !is_in(sorted->addresses, sorted->n, address))
		sorted->addresses[sorted->n++] = address;
}

void address_order_sort(const struct address_order *order, const struct request_names *names,
	struct request_names *sorted)
{
	*sorted = (struct request_names){0};
	if (is_in(names->addresses, names->n, order->last_good))
		append(sorted, order->last_good);
	for (uint32_t i = 0; i < names->n; i++)
		if (!is_in(order->failed, order->n_failed, names->addresses[i]))
			append(sorted, names->addresses[i]);
	for (size_t i = 0; i < order->n_failed; i++)
		if (is_in(names->addresses, names->n, order->failed[i]))
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
