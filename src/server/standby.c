/* Keeps ready what another host serves, and takes it over. Runs in the broker. */
#include "server/standby.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "server/adoption.h"
#include "server/endpoint.h"
#include "server/give_back.h"
#include "server/handshake_floor.h"
#include "server/heal.h"
#include "server/owed.h"
#include "server/promised.h"
#include "server/promises.h"
#include "server/standby_round.h"

int standby_open(struct endpoint *endpoint, struct event_base *base)
{
	struct store_link *store = endpoint->store;
	int error;

	endpoint->config.is_standby = true;
	/* What is promised is the other host's to tell. */
	endpoint->store = NULL;
	error = endpoint_open(endpoint, base);
	endpoint->store = store;
	if (error < 0) {
		endpoint_close(endpoint, false);
		endpoint->config.is_standby = false;
		return error;
	}
	endpoint->state = ENDPOINT_STANDBY;
	log_info("%s: another host serves it; %s is ready for when this host gets the address",
		endpoint_text(endpoint).s, plane_device_name(endpoint->config.index).s);
	return 0;
}

void standby_update(struct endpoint *endpoint, struct promised *promised, bool is_all)
{
	standby_round_begin(&endpoint->standby, promised, is_all);
}

/* Taking over */

/* Those that are made later shake hands then. */
static bool is_made(const struct endpoint *endpoint, const struct peer *peer)
{
	(void)endpoint;
	return !peer->is_owed;
}

/* Who was active last at the host that served it comes first. */
static int compare_activity(const void *a, const void *b)
{
	const struct peer *const *first = a, *const *second = b;
	uint64_t x = (*first)->promise.active_s, y = (*second)->promise.active_s;

	return (x < y) - (x > y);
}

/* Nobody could give this host a sign of life before. */
static void begin_time(struct endpoint *endpoint)
{
	const uint64_t now_ms = clock_now_ms(endpoint->clock);

	hash_for_each (&endpoint->peers.table, node) {
		struct peer *peer = hash_entry(node, struct peer, node);

		peer->connected_ms = peer->active_ms = peer->promise.ms = now_ms;
		peer->heard_ms = now_ms;
	}
	endpoint->read_ms = now_ms;
}

static int serve(struct endpoint *endpoint)
{
	const struct plane_ops *ops = endpoint->plane->ops;
	int error = endpoint->device ? ops->serve(endpoint->device, endpoint->config.floor_ns)
				     : -ENODEV;

	return error < 0 ? error : give_back_in_order(endpoint, is_made, compare_activity);
}

void standby_take_over(
	struct endpoint *endpoint, const struct promised *promised, struct event_base *base)
{
	uint64_t reserved_s = promised_floor_s(promised, &endpoint->config.private_key);

	standby_round_finish(&endpoint->standby);
	endpoint->config.is_standby = false;
	endpoint->state = ENDPOINT_OPEN;
	if (handshake_floor_init(&endpoint->floor, endpoint, reserved_s, base) < 0)
		log_error("%s: timestamps of its handshakes are not kept ahead: %s",
			endpoint_text(endpoint).s, strerror(ENOMEM));
	handshake_floor_prepare(endpoint);
	begin_time(endpoint);
	if (serve(endpoint) < 0)
		endpoint_heal(endpoint);
	else
		owed_make(endpoint);
	handshake_floor_reserve(endpoint);
	promise_endpoint(endpoint);
	log_info("%s: %s, block %s, WireGuard on UDP port %u, with %zu peers that were ready",
		endpoint_text(endpoint).s, plane_device_name(endpoint->config.index).s,
		prefix_text(endpoint->config.block).s, endpoint->config.port,
		peers_count(&endpoint->peers));
}
