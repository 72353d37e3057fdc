/*
 * Writes the peers of all endpoints, a piece at a time. Runs in the broker, when the reader of the
 * control socket has taken the piece before.
 */
#include "server/peer_listing.h"

#include <errno.h>
#include <stdlib.h>

#include <event2/buffer.h>

#include "base/clock.h"
#include "base/hash.h"
#include "ipc/report.h"
#include "server/data_plane.h"
#include "server/endpoint.h"

enum {
	PIECE_PEERS = 512, /* about; some 60 KB, and well under a millisecond */
	NS_PER_S = 1000000000,
};

struct peer_listing {
	const struct data_plane *data_plane;
	struct evbuffer *names, *peers; /* of the piece that is being written */
	struct report_piece piece; /* likewise */
	size_t at; /* the endpoint that it is at, from 0 */
	struct hash_walk walk; /* over its peers */
	size_t n_binds;
	struct ipv4 binds[]; /* of the endpoints; any of them may close meanwhile */
};

struct peer_listing *peer_listing_new(const struct data_plane *data_plane)
{
	const struct endpoint *endpoint;
	struct peer_listing *listing =
		calloc(1, sizeof *listing + data_plane_count(data_plane) * sizeof *listing->binds);

	if (!listing)
		return NULL;
	listing->data_plane = data_plane;
	data_plane_for_each(data_plane, endpoint) listing->binds[listing->n_binds++] =
		endpoint->config.bind;
	listing->names = evbuffer_new();
	listing->peers = evbuffer_new();
	if (listing->names && listing->peers)
		return listing;
	peer_listing_free(listing);
	return NULL;
}

void peer_listing_free(struct peer_listing *listing)
{
	if (!listing)
		return;
	if (listing->names)
		evbuffer_free(listing->names);
	if (listing->peers)
		evbuffer_free(listing->peers);
	free(listing);
}

/* The number of its name in the piece, from 1; 0: it has none. */
static int number_name(struct peer_listing *listing, struct endpoint *endpoint,
	const struct peer *peer, uint32_t *number)
{
	struct peer_name *name = peer->name;

	*number = 0;
	if (!name)
		return 0;
	if (name->piece != endpoint->peers.names.n_pieces) {
		if (evbuffer_add(listing->names, &name->name, sizeof name->name) < 0)
			return -ENOMEM;
		name->piece = endpoint->peers.names.n_pieces;
		name->number = ++listing->piece.n_names;
	}
	*number = name->number;
	return 0;
}

static int write_peer(struct peer_listing *listing, struct endpoint *endpoint,
	const struct peer *peer, uint64_t now_ms)
{
	const bool is_wireguard = peer->id.kind == PEER_WIREGUARD;
	struct report_peer reported = {
		.endpoint = (uint32_t)listing->at,
		.kind = is_wireguard ? REPORT_WIREGUARD : REPORT_IPIP,
		.inner = peer->id.inner,
		.outer = is_wireguard ? peer->usage.outer : peer->id.remote,
		.key = peer->id.key,
		.received = peer->usage.received,
		.sent = peer->usage.sent,
		.received_rate = (uint64_t)peer->rate.received,
		.sent_rate = (uint64_t)peer->rate.sent,
		.handshake_s = peer->usage.handshake_ns / NS_PER_S,
		.idle_ms = now_ms - peer->active_ms,
		.connected_ms = now_ms - peer->connected_ms,
	};
	int error = number_name(listing, endpoint, peer, &reported.name);

	if (error < 0 || evbuffer_add(listing->peers, &reported, sizeof reported) < 0)
		return -ENOMEM;
	listing->piece.n_peers++;
	return 0;
}

/* Of one endpoint, as many as a piece has. */
static int write_peers(struct peer_listing *listing, struct endpoint *endpoint)
{
	const uint64_t now_ms = clock_now_ms(endpoint->clock);
	int error = 0;

	endpoint->peers.names.n_pieces++;
	while (error == 0 && !listing->walk.is_over && listing->piece.n_peers < PIECE_PEERS)
		for (const struct hash_node *node =
				hash_walk_next(&endpoint->peers.table, &listing->walk);
			node && error == 0; node = node->next)
			error = write_peer(listing, endpoint,
				hash_entry(node, const struct peer, node), now_ms);
	return error;
}

/* Until there is any: an empty piece is the end. */
static int find_peers(struct peer_listing *listing)
{
	int error = 0;

	while (error == 0 && listing->piece.n_peers == 0 && listing->at < listing->n_binds) {
		struct endpoint *endpoint =
			data_plane_endpoint(listing->data_plane, listing->binds[listing->at]);

		if (listing->walk.is_over || !endpoint || endpoint->state != ENDPOINT_OPEN) {
			listing->at++;
			listing->walk = (struct hash_walk){0};
			continue;
		}
		error = write_peers(listing, endpoint);
	}
	return error;
}

int peer_listing_next(struct peer_listing *listing, struct evbuffer *out)
{
	int error;

	listing->piece = (struct report_piece){0};
	error = find_peers(listing);
	if (error == 0 && (evbuffer_add(out, &listing->piece, sizeof listing->piece) < 0 ||
				  evbuffer_add_buffer(out, listing->names) < 0 ||
				  evbuffer_add_buffer(out, listing->peers) < 0))
		error = -ENOMEM;
	return error < 0 ? error : listing->piece.n_peers > 0;
}
