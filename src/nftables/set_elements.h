/* The elements of sets of nftables that hold something of each client: they are changed without
 * nft's language, which takes milliseconds for each time, and read back (nf_tables over netlink,
 * linux/netfilter/nf_tables.h). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netlink/request.h"

struct netlink;

enum {
	/* Changes that fit behind those that a batch has when it is not full. */
	SET_ELEMENTS_ROOM = 40,
	SET_ELEMENT_WORDS = 2, /* of 32 bits, in the longest key */
};

/* Changes that are made together or not at all. */
struct set_elements_batch {
	uint8_t family;
	const char *table;
	struct netlink_request request;
};

/* The element of a set of one or two addresses: its key, in network byte order. */
struct set_element {
	uint32_t words[SET_ELEMENT_WORDS];
	size_t n_words;
};

/* table stays the caller's, and must stay until the commit. */
void set_elements_begin(struct set_elements_batch *batch, uint8_t family, const char *table);
/* One that is there already is no error; that one to be deleted is not there makes all fail. */
void set_elements_add(
	struct set_elements_batch *batch, const char *set, const struct set_element *element);
void set_elements_delete(
	struct set_elements_batch *batch, const char *set, const struct set_element *element);
bool set_elements_is_empty(const struct set_elements_batch *batch);
/* Whether it has no room for SET_ELEMENTS_ROOM more changes. */
bool set_elements_is_full(const struct set_elements_batch *batch);
/*
 * netlink is of NETLINK_NETFILTER, and better kept for the next one: to close such a socket waits
 * for what was deleted to be freed, some 20 ms (net/netfilter/nf_tables_api.c, nft_rcv_nl_event()).
 * Returns 0, and all are made; or -errno, and none is. -ENOENT: a set, or an element that is to be
 * deleted, is not there.
 */
int set_elements_commit(struct netlink *netlink, struct set_elements_batch *batch);

typedef int set_element_fn(void *context, const struct set_element *element);

/* Calls back for each element of a set. Returns 0, -ENOENT if there is no such set, -EINTR if it
 * kept changing, what the callback returned if that was negative, or another -errno. */
int set_elements_read(
	uint8_t family, const char *table, const char *set, set_element_fn *each, void *context);
