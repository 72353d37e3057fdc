/*
 * The one judgement of what is there in the data plane, for both planes: which of the peers that
 * plane_ops.find() tells of can stay. The others are orphans: they are collected while the plane is
 * being read, and removed from it after that.
 */
#pragma once

#include <stddef.h>

#include "plane/plane.h"

struct endpoint;

struct judgement {
	char fault[128]; /* why the peer cannot stay; "": it can */
};

/*
 * Judges a peer by itself: it has exactly one address, which is one that the endpoint gives out; an
 * IPIP peer's tunnel goes from the bind address to an address, and no other inner address is routed
 * to it. Whether another peer holds its address is for the caller.
 */
struct judgement judge_found(const struct endpoint *endpoint, const struct plane_found *found);

/* Zeroed: none. */
struct orphans {
	struct plane_peer *peers;
	size_t n;
};

/* Collects one, and logs that it is to be removed and why. Returns 0 or -ENOMEM. */
int orphans_add(struct orphans *orphans, const struct endpoint *endpoint,
	const struct plane_found *found, const char *fault);

/* Removes them from the plane. Returns 0, or the first error, whose text the plane has. */
int orphans_remove(const struct orphans *orphans, const struct endpoint *endpoint);
void orphans_free(struct orphans *orphans);
