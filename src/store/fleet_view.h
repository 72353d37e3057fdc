/* What etcd says of the addresses of a fleet: who holds each, and its index, block, port and key.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "store/record.h"

struct etcd;

struct seen_address {
	struct ipv4 bind;
	uint64_t holder_revision, endpoint_revision; /* of etcd; 0: there is no record */
	bool is_foreign; /* one of both is sealed under another key */
	uint8_t value[RECORD_MOST]; /* of the holder's record, as it is */
	size_t size;
	struct fleet_holder holder; /* epoch 0: its record is none that opens */
	bool is_put_back; /* the holder's epoch is older than one that was seen */
	bool has_endpoint; /* whose record opens, and is not older than the holder's floor */
	struct stored_endpoint endpoint;
};

/* Zeroed, it is empty. */
struct fleet_view {
	struct seen_address *addresses;
	size_t n;
	/* records that are ignored, and one of them */
	size_t n_ignored;
	struct record_name ignored;
	int why; /* -ENOKEY, -EBADMSG or -ESTALE */
	/* addresses that are of an older epoch than was seen, and one of them; see fleet_epochs.h
	 */
	size_t n_put_back;
	struct ipv4 put_back;
	/* addresses whose holder has not sealed all records under the first key, and one of them */
	size_t n_need_second_key;
	struct ipv4 needs_second_key;
};

/* Reads it anew. Returns 0 or as etcd_ask(). */
int fleet_view_read(struct fleet_view *view, struct etcd *etcd, const struct record_maker *maker);
/* NULL if there is nothing of it. */
const struct seen_address *fleet_view_find(const struct fleet_view *view, struct ipv4 bind);
/* Whose index, port or block a new endpoint would have a part of; NULL: nobody's. */
const struct seen_address *fleet_view_collision(
	const struct fleet_view *view, const struct stored_endpoint *endpoint);
/* Wipes and frees. */
void fleet_view_free(struct fleet_view *view);
