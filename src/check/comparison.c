/*
 * Goes through the three lists side by side, a peer at a time. Runs in `vprox check`.
 *
 * A server's table is what it does; the data plane is the truth of what is there, and the store of
 * what is promised. So both are compared with the table, or, without a server, with each other.
 */
#include "check/comparison.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "check/disagreements.h"
#include "check/holders.h"

static const char ask_again[] = "it is made again when its client asks, or when the server is "
				"restarted";
static const char restart[] = "restart the server: it takes over what is there";
static const char store_again[] = "see the server's log about the store; restart the server: it "
				  "stores what is there";
static const char next_server[] = "start the server: it makes what is promised";
static const char next_stores[] = "start the server: it takes over what is there, and stores it";
static const char two_holders[] = "restart the server: it removes one of the two, whose client "
				  "gets another address when it asks";

/* One of the lists, from where it has been read to. */
struct list_reader {
	const struct holder *next;
	size_t n_left;
};

static struct list_reader read_from(const struct holder_list *holders)
{
	return holders ? (struct list_reader){holders->list, holders->n} : (struct list_reader){0};
}

/* What a list has of one peer: usually one address, and never none if `n` is not 0. */
struct entry {
	const struct holder *first;
	size_t n;
};

static struct entry read_entry(struct list_reader *reading, const struct holder *of)
{
	struct entry entry = {reading->next, 0};

	while (reading->n_left > 0 && holders_compare(reading->next, of) == 0) {
		entry.n++;
		reading->next++;
		reading->n_left--;
	}
	return entry;
}

static bool has_address(const struct entry *entry, struct ipv4 inner)
{
	for (size_t i = 0; i < entry->n; i++)
		if (ipv4_equal(entry->first[i].peer.inner, inner))
			return true;
	return false;
}

static int add(struct disagreements *disagreements, const struct holder *holder, const char *fault,
	const char *remedy)
{
	const struct plane_peer *peer = &holder->peer;
	struct disagreement disagreement = {
		.bind = holder->bind, .inner = peer->inner, .remedy = remedy};

	if (peer->kind == PEER_WIREGUARD)
		snprintf(disagreement.subject, sizeof disagreement.subject, "WireGuard peer %s",
			key_text(&peer->key).s);
	else
		snprintf(disagreement.subject, sizeof disagreement.subject, "IPIP peer %s",
			ipv4_text(peer->remote).s);
	snprintf(disagreement.fault, sizeof disagreement.fault, "%s", fault);
	return disagreements_add(disagreements, &disagreement);
}

/* What the one has and the other has not. */
static int add_missing(struct disagreements *disagreements, const struct entry *has,
	const struct entry *lacks, const char *fault, const char *remedy)
{
	int error = 0;

	for (size_t i = 0; i < has->n && error == 0; i++)
		if (!has_address(lacks, has->first[i].peer.inner))
			error = add(disagreements, &has->first[i], fault, remedy);
	return error;
}

static int compare_with_table(const struct comparison *comparison, const struct entry *there,
	const struct entry *table, const struct entry *stored, struct disagreements *disagreements)
{
	int error = 0;

	if (comparison->there) {
		error = add_missing(disagreements, table, there,
			"is in the server's table, and has no such tunnel", ask_again);
		if (error == 0)
			error = add_missing(disagreements, there, table,
				"has a tunnel that is not in the server's table", restart);
	}
	if (error < 0 || !comparison->stored)
		return error;
	error = add_missing(disagreements, table, stored,
		"is not in the store: a reboot would lose it", store_again);
	return error < 0 ? error
			 : add_missing(disagreements, stored, table,
				   "is in the store, and not in the server's table", restart);
}

static int compare_without_server(const struct comparison *comparison, const struct entry *there,
	const struct entry *stored, struct disagreements *disagreements)
{
	int error;

	if (!comparison->there || !comparison->stored)
		return 0;
	error = add_missing(disagreements, stored, there, "is in the store, and has no such tunnel",
		next_server);
	return error < 0 ? error
			 : add_missing(disagreements, there, stored,
				   "has a tunnel, and is not in the store", next_stores);
}

static const struct holder *earlier(const struct holder *a, const struct list_reader *b)
{
	if (b->n_left == 0)
		return a;
	return !a || holders_compare(b->next, a) < 0 ? b->next : a;
}

static int compare_peers(const struct comparison *comparison, struct disagreements *disagreements)
{
	struct list_reader there = read_from(comparison->there),
			   table = read_from(comparison->table),
			   stored = read_from(comparison->stored);
	const struct holder *next;
	int error = 0;

	while (error == 0 &&
		(next = earlier(earlier(earlier(NULL, &there), &table), &stored)) != NULL) {
		const struct entry of_there = read_entry(&there, next);
		const struct entry of_table = read_entry(&table, next);
		const struct entry of_stored = read_entry(&stored, next);

		error = comparison->table ? compare_with_table(comparison, &of_there, &of_table,
						    &of_stored, disagreements)
					  : compare_without_server(comparison, &of_there,
						    &of_stored, disagreements);
	}
	return error;
}

static int compare_addresses(const void *first, const void *second)
{
	const struct holder *a = first, *b = second;
	struct ipv4 left = a->peer.inner, right = b->peer.inner;

	if (ipv4_equal(a->bind, b->bind))
		return (left.value > right.value) - (left.value < right.value);
	return a->bind.value > b->bind.value ? 1 : -1;
}

/* Whatever else agrees: an address has one holder. */
static int find_shared(
	const struct holder_list *holders, const char *fault, struct disagreements *disagreements)
{
	auto_free struct holder *sorted = NULL;
	int error = 0;

	if (!holders || holders->n < 2)
		return 0;
	sorted = calloc(holders->n, sizeof *sorted);
	if (!sorted)
		return -ENOMEM;
	memcpy(sorted, holders->list, holders->n * sizeof *sorted);
	qsort(sorted, holders->n, sizeof *sorted, compare_addresses);
	for (size_t i = 1; i < holders->n && error == 0; i++)
		if (sorted[i].peer.inner.value != 0 &&
			compare_addresses(&sorted[i - 1], &sorted[i]) == 0)
			error = add(disagreements, &sorted[i], fault, two_holders);
	return error;
}

int compare_holders(const struct comparison *comparison, struct disagreements *disagreements)
{
	int error = compare_peers(comparison, disagreements);

	if (error == 0)
		error = find_shared(comparison->there, "has an address that another tunnel has too",
			disagreements);
	return error == 0 ? find_shared(comparison->table,
				    "has an address that another peer of the table has too",
				    disagreements)
			  : error;
}
