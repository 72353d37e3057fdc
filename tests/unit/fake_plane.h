/* A data plane in memory, so that the rules of peers can be tested with a clock of their own and
 * faults on demand. */
#pragma once

#include "plane/plane.h"

enum {
	FAKE_MAX_PEERS = 256,
};

struct fake_plane {
	struct plane plane; /* first */
	struct plane_device device; /* the only one */
	struct ipv4 bind; /* of the endpoint that was opened last */
	struct plane_peer peers[FAKE_MAX_PEERS];
	struct plane_usage usage[FAKE_MAX_PEERS];
	size_t n_peers;
	/* What the next calls answer; 0: as it should be. */
	int open_error, add_error, check_error, dump_error, remove_error, restore_error,
		reconcile_error;
	struct ipv4 refused; /* cannot be added */
	unsigned int add_ms; /* what it takes to add many */
	bool adds_late; /* a peer is made, though the call reports add_error */
	bool device_is_lost; /* until the next open() */
	unsigned int n_going; /* the next open()s find a device that is just going */
	size_t piece; /* peers that a reading hands over at a time; 0: all */
	unsigned int n_readings, n_open_readings; /* begun; and not ended */
	unsigned int n_adds, n_reconciles;
	unsigned int n_reconcile_pieces; /* the next reconcile()s are not through */
	const uint64_t *drops; /* NULL: they are not counted */
	uint64_t n_spoofed;
	unsigned int n_restored;
	struct plane_peer restored[2 * FAKE_MAX_PEERS]; /* in their order */
	size_t n_peers_at_restore[2 * FAKE_MAX_PEERS]; /* how many were there then */
	struct plane_usage restored_at; /* the last one's */
	uint64_t timestamp_ns; /* 0: the time of day */
	uint64_t floor_ns; /* that the device was opened with last */
};

void fake_plane_init(struct fake_plane *fake);
struct plane_usage *fake_plane_usage(struct fake_plane *fake, struct ipv4 inner);
/* As `ip link del` or `wg set ... remove` would. */
void fake_plane_lose(struct fake_plane *fake, struct ipv4 inner);
