/* Reserves the timestamps of handshakes. Runs in the broker, at its start and by a timer. */
#include "server/handshake_floor.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/log.h"
#include "server/endpoint.h"
#include "server/promises.h"

enum {
	PERIOD_MS = 25000, /* one reading may fail before what is reserved is used up */
	/* What a client does not notice: it is tried again after REKEY_TIMEOUT. */
	NOTICEABLE_S = 5,
	NS_PER_MS = 1000000,
	NS_PER_S = 1000000000,
};

static void schedule(struct handshake_floor *floor)
{
	const struct timeval period = timeval_from_ms(PERIOD_MS);

	event_add(floor->timer, &period);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	struct handshake_floor *floor = context;

	(void)fd;
	(void)what;
	if (floor->endpoint->device) {
		handshake_floor_reserve(floor->endpoint);
		promise_endpoint(floor->endpoint);
	}
	schedule(floor);
}

int handshake_floor_init(struct handshake_floor *floor, struct endpoint *endpoint,
	uint64_t reserved_s, struct event_base *base)
{
	*floor = (struct handshake_floor){
		.endpoint = endpoint, .promised_s = reserved_s, .reserved_s = reserved_s};
	if (!base || !endpoint->store)
		return 0;
	floor->timer = evtimer_new(base, on_timer, floor);
	if (!floor->timer)
		return -ENOMEM;
	schedule(floor);
	return 0;
}

void handshake_floor_free(struct handshake_floor *floor)
{
	free_event(floor->timer);
	floor->timer = NULL;
}

/* Of a device that goes on, or went on until now. */
static uint64_t latest_ns(const struct endpoint *endpoint)
{
	const struct handshake_floor *floor = &endpoint->floor;
	uint64_t since_ms = clock_now_ms(endpoint->clock) - floor->read_ms;

	return floor->timestamp_ns + since_ms * NS_PER_MS;
}

/* Of a device that was lost it is known better than to the end of what was reserved: else each loss
 * would carry the timestamps further ahead of the clock. */
void handshake_floor_prepare(struct endpoint *endpoint)
{
	const struct handshake_floor *floor = &endpoint->floor;

	endpoint->config.floor_ns =
		floor->timestamp_ns == 0 ? floor->reserved_s * NS_PER_S : latest_ns(endpoint);
}

static void report(struct endpoint *endpoint, uint64_t behind_s, bool is_covered)
{
	struct handshake_floor *floor = &endpoint->floor;

	if (behind_s > 0 && floor->behind_s == 0 && is_covered)
		log_info("%s: the clock is %" PRIu64 " s behind the latest handshakes: its device "
			 "goes on from these",
			endpoint_text(endpoint).s, behind_s);
	else if (behind_s > 0 && floor->behind_s == 0)
		log_warning("%s: the clock is %" PRIu64 " s behind the latest handshakes: until it "
			    "has caught up, clients refuse those that are begun here; set it right",
			endpoint_text(endpoint).s, behind_s);
	else if (behind_s == 0 && floor->behind_s > 0)
		log_info("%s: the clock is not behind the latest handshakes any more",
			endpoint_text(endpoint).s);
	floor->behind_s = behind_s;
}

/* That much was used for certain; what was reserved beyond that, perhaps. */
static void compare_with_clock(struct endpoint *endpoint)
{
	const struct handshake_floor *floor = &endpoint->floor;
	uint64_t now_s = (uint64_t)time(NULL);
	uint64_t used_s = floor->reserved_s > HANDSHAKE_FLOOR_AHEAD_S
				  ? floor->reserved_s - HANDSHAKE_FLOOR_AHEAD_S
				  : 0;
	bool is_covered = floor->timestamp_ns / NS_PER_S >= used_s;
	/* A device that is made again before what was reserved is over is ahead of its clock. */
	uint64_t tolerated_s = is_covered ? HANDSHAKE_FLOOR_AHEAD_S : NOTICEABLE_S;

	report(endpoint, used_s > now_s + tolerated_s ? used_s - now_s : 0, is_covered);
}

void handshake_floor_reserve(struct endpoint *endpoint)
{
	struct handshake_floor *floor = &endpoint->floor;
	uint64_t needed_s;

	if (!endpoint->store || !endpoint->device ||
		endpoint->plane->ops->timestamp(endpoint->device, &floor->timestamp_ns) < 0)
		return;
	floor->read_ms = clock_now_ms(endpoint->clock);
	compare_with_clock(endpoint);
	needed_s = floor->timestamp_ns / NS_PER_S + 1 + HANDSHAKE_FLOOR_AHEAD_S;
	if (needed_s > floor->reserved_s)
		floor->reserved_s = needed_s;
}

void handshake_floor_settle(struct endpoint *endpoint)
{
	struct handshake_floor *floor = &endpoint->floor;
	uint64_t used_s = latest_ns(endpoint) / NS_PER_S + 1;

	floor->reserved_s = used_s > floor->promised_s ? used_s : floor->promised_s;
}
