/*
 * The peers of all endpoints for `vprox show`, as ipc/report.h has them: a piece at a time, so that
 * whoever reads slowly or not at all costs the broker one piece, and no request waits for all of
 * them. Who is there from the beginning to the end is in it once; who comes or goes meanwhile may
 * be left out.
 */
#pragma once

struct data_plane;
struct evbuffer;
struct peer_listing;

/* Of the endpoints that are open now, in this order. The data plane must outlive it. NULL: no
 * memory. */
struct peer_listing *peer_listing_new(const struct data_plane *data_plane);

/* Appends the next piece. Returns 1 if there is more, 0 if that was the end, or -ENOMEM. */
int peer_listing_next(struct peer_listing *listing, struct evbuffer *out);

/* NULL is fine. */
void peer_listing_free(struct peer_listing *listing);
