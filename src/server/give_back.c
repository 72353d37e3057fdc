/* Gives peers to a device, many at once. Runs in the broker, when a device was made again and at
 * its start. */
#include "server/give_back.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "server/endpoint.h"

bool device_is_lost(int error)
{
	return error == -ENODEV || error == -ETIMEDOUT;
}

int give_back_peers(struct endpoint *endpoint, const struct plane_peer *ids, size_t n,
	size_t *n_given, give_failed_fn *failed, void *context)
{
	const struct plane_ops *ops = endpoint->plane->ops;
	const uint64_t began_us = clock_stopwatch_us();
	int error = n == 0 ? 0 : ops->add_many(endpoint->device, ids, n);

	if (n > 0)
		endpoint_record_time(endpoint, REPORT_OF_ADD_MANY, began_us);
	if (error == 0)
		*n_given += n;
	if (error == 0 || device_is_lost(error))
		return error;
	for (size_t i = 0; i < n; i++) {
		error = ops->add(endpoint->device, &ids[i]);
		*n_given += error == 0;
		if (error < 0)
			failed(context, &ids[i], error);
		if (device_is_lost(error))
			return error;
	}
	return 0;
}

/* Returns 0 or an error of device_is_lost(). */
static int give_back_session(struct endpoint *endpoint, const struct peer *peer)
{
	int error = endpoint->plane->ops->restore_endpoints(
		endpoint->device, &peer->id, &peer->usage, 1);

	if (error < 0)
		log_warning(
			"%s: %s has to find its way back alone: %s; its client does that within "
			"some 15 s, if it sends anything: nothing needs to be done",
			endpoint_text(endpoint).s, peer_text(&peer->id).s,
			plane_error(endpoint->plane));
	return device_is_lost(error) ? error : 0;
}

static int give_back_batch(struct endpoint *endpoint, const struct peer *const *peers, size_t n)
{
	struct plane_peer ids[PLANE_ADD_BATCH];
	struct plane_usage lasts[PLANE_ADD_BATCH];
	int error;

	for (size_t i = 0; i < n; i++) {
		ids[i] = peers[i]->id;
		lasts[i] = peers[i]->usage;
	}
	error = endpoint->plane->ops->restore_endpoints(endpoint->device, ids, lasts, n);
	if (error == 0 || device_is_lost(error))
		return error;
	error = 0;
	for (size_t i = 0; i < n && error == 0; i++)
		error = give_back_session(endpoint, peers[i]);
	return error;
}

int give_back_sessions(struct endpoint *endpoint, const struct peer *const *peers, size_t n)
{
	const struct peer *batch[PLANE_ADD_BATCH];
	size_t n_batch = 0;
	int error = 0;

	for (size_t i = 0; i < n && error == 0; i++) {
		if (peers[i]->id.kind == PEER_WIREGUARD && peers[i]->usage.outer_port != 0)
			batch[n_batch++] = peers[i];
		if (n_batch < PLANE_ADD_BATCH)
			continue;
		error = give_back_batch(endpoint, batch, n_batch);
		n_batch = 0;
	}
	return error < 0 || n_batch == 0 ? error : give_back_batch(endpoint, batch, n_batch);
}

int give_back_in_order(struct endpoint *endpoint,
	bool (*wants)(const struct endpoint *endpoint, const struct peer *peer),
	int (*compare)(const void *a, const void *b))
{
	auto_free const struct peer **peers =
		calloc(peers_count(&endpoint->peers) + 1, sizeof *peers);
	size_t n = 0;

	if (!peers)
		return -ENOMEM;
	hash_for_each (&endpoint->peers.table, node) {
		const struct peer *peer = hash_entry(node, struct peer, node);

		if (wants(endpoint, peer))
			peers[n++] = peer;
	}
	qsort(peers, n, sizeof *peers, compare);
	return give_back_sessions(endpoint, peers, n);
}
