/* Giving a device peers that it should have: after it was made again, and when what was promised is
 * not there. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "plane/plane.h"

struct endpoint;
struct peer;

/* What a plane's error says of the device: it has gone, or does not answer. What is asked of it
 * next would fail likewise, and take as long as an answer may; what was asked may have been done
 * all the same. */
bool device_is_lost(int error);

/* One that could not be made; the plane has the text of the error. */
typedef void give_failed_fn(void *context, const struct plane_peer *id, int error);

/*
 * Gives the endpoint's device n peers, PLANE_ADD_BATCH at the most: in one go, or each by itself
 * where one of them cannot be made. Adds to *n_given how many it has then. Returns 0, also if some
 * failed, or an error of device_is_lost(): then no other is to be tried.
 */
int give_back_peers(struct endpoint *endpoint, const struct plane_peer *ids, size_t n,
	size_t *n_given, give_failed_fn *failed, void *context);

/*
 * Has the device shake hands with n peers where they were last, in this order. Of one that is not
 * there nothing happens. One whose endpoint cannot be restored comes back by itself, when it
 * notices that nobody answers (WireGuard paper 6.4: 15 s), which is logged. Returns as
 * give_back_peers().
 */
int give_back_sessions(struct endpoint *endpoint, const struct peer *const *peers, size_t n);

/* Likewise with those of the endpoint's peers that are wanted, in the order that qsort(3) puts
 * their pointers into. -ENOMEM besides. */
int give_back_in_order(struct endpoint *endpoint,
	bool (*wants)(const struct endpoint *endpoint, const struct peer *peer),
	int (*compare)(const void *a, const void *b));
