/*
 * Reads from the data plane what the peers of an endpoint have used. Runs in the broker, for an
 * inspection and when somebody asks to see into the server.
 */
#include "server/usage.h"

#include <errno.h>

#include "base/log.h"
#include "server/endpoint.h"
#include "server/promises.h"

enum {
	REFRESH_SHARE = 20,
};

struct usage_reading {
	struct endpoint *endpoint;
	uint64_t now_ms;
};

/* What has moved since; counters that were set back have begun at 0. */
static uint64_t moved(uint64_t before, uint64_t now)
{
	return now < before ? now : now - before;
}

/* Of those whose place was known before. */
static bool has_moved(const struct plane_usage *before, const struct plane_usage *now)
{
	return before->outer.value != 0 && now->outer.value != 0 &&
	       !ipv4_equal(before->outer, now->outer);
}

static int record_peer(void *context, const struct plane_peer *id, const struct plane_usage *usage)
{
	struct usage_reading *reading = context;
	struct endpoint *endpoint = reading->endpoint;
	struct peer *peer = peers_find(&endpoint->peers, id);

	if (peer) {
		peer->last_reading = endpoint->reading;
		endpoint->received += moved(peer->usage.received, usage->received);
		endpoint->sent += moved(peer->usage.sent, usage->sent);
		endpoint->counts[REPORT_COUNTED_MOVED] += has_moved(&peer->usage, usage);
		peer_record_usage(peer, usage, reading->now_ms);
		promise_peer_again(endpoint, peer, reading->now_ms);
	}
	return 0;
}

int usage_read(struct endpoint *endpoint)
{
	struct usage_reading reading = {endpoint, clock_now_ms(endpoint->clock)};
	const uint64_t began_us = clock_stopwatch_us();
	int error;

	endpoint->reading++;
	error = endpoint->device
			? endpoint->plane->ops->dump(endpoint->device, record_peer, &reading)
			: -ENODEV;
	if (error == 0) {
		endpoint_record_time(endpoint, REPORT_OF_READ, began_us);
		endpoint->read_ms = reading.now_ms;
		endpoint->read_took_ms = clock_now_ms(endpoint->clock) - reading.now_ms;
	}
	return error;
}

/* The next inspection logs why it cannot be read. */
void usage_refresh(struct endpoint *endpoint, uint64_t period_ms)
{
	uint64_t age_ms = clock_now_ms(endpoint->clock) - endpoint->read_ms;

	if (age_ms < period_ms || age_ms < REFRESH_SHARE * endpoint->read_took_ms)
		return;
	if (usage_read(endpoint) < 0)
		log_debug("%s: cannot read what its peers have used", endpoint_text(endpoint).s);
}
