/* Takes an endpoint's device away and gives it back. Runs in the broker. */
#include "server/rest.h"

#include "base/log.h"
#include "server/endpoint.h"
#include "server/handshake_floor.h"
#include "server/heal.h"
#include "server/parked_requests.h"
#include "server/pending_connects.h"
#include "server/promises.h"
#include "server/removals.h"
#include "server/usage.h"

static void finish_removals(struct endpoint *endpoint)
{
	while (removals_flush(&endpoint->removals))
		;
}

/* IPIP tunnels of the kernel are there also where the device is lost. */
static int remove_device(struct endpoint *endpoint)
{
	struct plane_device *device = endpoint->device;

	endpoint->device = NULL;
	usage_abandon(endpoint);
	if (device)
		return endpoint->plane->ops->close(device, false);
	return endpoint->plane->ops->remove_all(endpoint->plane, endpoint->config.index);
}

void endpoint_rest(struct endpoint *endpoint)
{
	pending_connects_refuse(&endpoint->pending, IPC_NOT_SERVED);
	parked_requests_refuse(&endpoint->parked, IPC_NOT_SERVED);
	finish_removals(endpoint);
	/* Where its peers are now is where they will be sought. */
	if (usage_read(endpoint) < 0)
		log_debug("%s: cannot read where its peers are", endpoint_text(endpoint).s);
	if (remove_device(endpoint) < 0)
		log_error("%s: cannot remove %s: %s", endpoint_text(endpoint).s,
			plane_device_name(endpoint->config.index).s, plane_error(endpoint->plane));
	endpoint->state = ENDPOINT_AT_REST;
	log_info("%s: closed; %zu peers keep their addresses", endpoint_text(endpoint).s,
		peers_count(&endpoint->peers));
}

/* Nobody could give a sign of life meanwhile. */
static void begin_anew(struct endpoint *endpoint)
{
	uint64_t now_ms = clock_now_ms(endpoint->clock);

	hash_for_each (&endpoint->peers.table, node)
		hash_entry(node, struct peer, node)->active_ms = now_ms;
	endpoint->read_ms = now_ms;
}

int endpoint_wake(struct endpoint *endpoint)
{
	size_t n_back;
	int error = endpoint_make_device(endpoint, &n_back);

	if (error < 0)
		return error;
	endpoint->state = ENDPOINT_OPEN;
	begin_anew(endpoint);
	handshake_floor_reserve(endpoint);
	promise_endpoint(endpoint);
	log_info("%s: open again, %zu peers have their tunnels again", endpoint_text(endpoint).s,
		n_back);
	return 0;
}
