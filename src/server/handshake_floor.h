/*
 * Which timestamps the handshakes of an endpoint may have had by now: a client drops an initiation
 * that is not later than the latest it has seen of the endpoint's key (WireGuard paper 5.1). The
 * store is told a time that is ahead, and told a later one before that is reached. A device that is
 * made again begins after it. Where the plane can only send the time of day, a clock that is behind
 * is reported. Without a store there is nothing to go on from.
 *
 * A device that goes on without a server is told by nobody to stop at what was reserved; that
 * matters only if then the host is started again and its clock is behind too.
 */
#pragma once

#include <stdint.h>

struct endpoint;
struct event_base;
struct handshake_floor;

enum {
	HANDSHAKE_FLOOR_AHEAD_S = 60, /* what is reserved */
};

/* reserved_s: as the store has it. base is NULL in a test. Returns 0 or -ENOMEM. */
int handshake_floor_init(struct handshake_floor *floor, struct endpoint *endpoint,
	uint64_t reserved_s, struct event_base *base);
void handshake_floor_free(struct handshake_floor *floor);

/* Before the endpoint's device is opened: in its configuration, where one that is made is to begin.
 */
void handshake_floor_prepare(struct endpoint *endpoint);

/* While the device is open: reads where it is, reserves what comes next, and compares that with the
 * clock. Logs when the clock is behind, and when it is not any more. The caller has it stored
 * (promise_endpoint()). A device that does not answer is asked again later. */
void handshake_floor_reserve(struct endpoint *endpoint);

/* After the endpoint's device has gone for good, of which a reading was made: no more than it may
 * have used stays reserved. Else each start would carry the timestamps further ahead of the clock.
 * The caller has it stored. */
void handshake_floor_settle(struct endpoint *endpoint);
