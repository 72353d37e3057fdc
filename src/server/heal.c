/*
 * Makes a lost device again and gives it its peers back. Runs in the broker, wherever a loss is
 * noticed.
 */
#include "server/heal.h"

#include <errno.h>
#include <stdbool.h>

#include "base/log.h"
#include "server/endpoint.h"
#include "server/give_back.h"
#include "server/handshake_floor.h"
#include "server/judgement.h"
#include "server/usage.h"

/* What is there of an endpoint whose device was lost: IPIP tunnels of the kernel outlive it. */
struct healing {
	struct endpoint *endpoint;
	struct orphans orphans;
};

static int mark_present(void *context, const struct plane_found *found)
{
	struct healing *healing = context;
	struct judgement judgement = judge_found(healing->endpoint, found);
	struct peer *peer = peers_find(&healing->endpoint->peers, &found->peer);

	if (judgement.fault[0] != '\0')
		return orphans_add(&healing->orphans, healing->endpoint, found, judgement.fault);
	if (peer && !ipv4_equal(peer->id.inner, found->peer.inner))
		return orphans_add(
			&healing->orphans, healing->endpoint, found, "it has another address");
	if (peer)
		peer->last_reading = healing->endpoint->reading;
	return 0;
}

/* Marks the peers that are still there, and removes what stands in the way of the others. What
 * cannot be read or removed shows when they are given back. */
static void find_present(struct endpoint *endpoint)
{
	struct healing healing = {.endpoint = endpoint};

	endpoint->reading++;
	if (endpoint->plane->ops->find(endpoint->device, mark_present, &healing) == 0)
		orphans_remove(&healing.orphans, endpoint);
	orphans_free(&healing.orphans);
}

/* It stays in the table: its next request writes it. */
static void log_failure(void *context, const struct plane_peer *id, int error)
{
	const struct endpoint *endpoint = context;

	(void)error;
	log_error("%s: cannot make the tunnel of %s again: %s", endpoint_text(endpoint).s,
		peer_text(id).s, plane_error(endpoint->plane));
}

/* Those that the device does not have. */
static int give_back_all(struct endpoint *endpoint, size_t *n_back)
{
	struct plane_peer batch[PLANE_ADD_BATCH];
	size_t n = 0;
	int error = 0;

	hash_for_each (&endpoint->peers.table, node) {
		const struct peer *peer = hash_entry(node, struct peer, node);

		if (peer->last_reading == endpoint->reading)
			continue;
		batch[n++] = peer->id;
		if (n < PLANE_ADD_BATCH)
			continue;
		error = give_back_peers(endpoint, batch, n, n_back, log_failure, endpoint);
		if (error < 0)
			return error;
		n = 0;
	}
	return give_back_peers(endpoint, batch, n, n_back, log_failure, endpoint);
}

/* Also those that were owed. */
static void settle(struct endpoint *endpoint)
{
	hash_for_each (&endpoint->peers.table, node)
		peers_set_owed(&endpoint->peers, hash_entry(node, struct peer, node), false);
}

static bool lacks_session(const struct endpoint *endpoint, const struct peer *peer)
{
	return peer->last_reading != endpoint->reading;
}

/* Who was active last comes first. */
static int compare_activity(const void *a, const void *b)
{
	const struct peer *const *first = a, *const *second = b;
	uint64_t x = (*first)->active_ms, y = (*second)->active_ms;

	return (x < y) - (x > y);
}

/*
 * Gives the new device the peers that it does not have. As long as they are nowhere but in this
 * process, its death would be their loss: so they are given back all together and at once, and only
 * then begins what takes time.
 */
static int give_peers_back(struct endpoint *endpoint, size_t *n_back)
{
	int error;

	find_present(endpoint);
	error = give_back_all(endpoint, n_back);
	if (error < 0)
		return error;
	settle(endpoint);
	/* One that is standby is silent. */
	return endpoint->config.is_standby
		       ? 0
		       : give_back_in_order(endpoint, lacks_session, compare_activity);
}

/* What is left of it stays. An endpoint without a device is healed at its next inspection. */
static void give_up_device(struct endpoint *endpoint)
{
	usage_abandon(endpoint);
	if (endpoint->device)
		endpoint->plane->ops->close(endpoint->device, true);
	endpoint->device = NULL;
}

int endpoint_make_device(struct endpoint *endpoint, size_t *n_back)
{
	const struct plane_name name = plane_device_name(endpoint->config.index);
	int error;

	*n_back = 0;
	handshake_floor_prepare(endpoint);
	error = endpoint->plane->ops->open(endpoint->plane, &endpoint->config, &endpoint->device);
	if (error < 0) {
		log_error("%s: cannot make %s again: %s", endpoint_text(endpoint).s, name.s,
			plane_error(endpoint->plane));
		endpoint->device = NULL;
		return error;
	}
	error = give_peers_back(endpoint, n_back);
	if (error < 0) {
		log_error("%s: %s was lost again when %zu peers were given back to it: %s",
			endpoint_text(endpoint).s, name.s, *n_back, plane_error(endpoint->plane));
		give_up_device(endpoint);
	}
	return error;
}

int endpoint_heal(struct endpoint *endpoint)
{
	const struct plane_name name = plane_device_name(endpoint->config.index);
	size_t n_back;
	int error;

	/* It is not lost: it was given up. */
	if (endpoint->state == ENDPOINT_AT_REST)
		return -ENODEV;
	endpoint->counts[REPORT_COUNTED_DEVICE_LOST]++;
	log_warning("%s: %s has vanished, making it again", endpoint_text(endpoint).s, name.s);
	give_up_device(endpoint);
	error = endpoint_make_device(endpoint, &n_back);
	if (error < 0)
		return error;
	endpoint->counts[REPORT_COUNTED_GIVEN_BACK] += n_back;
	log_info("%s: %s is back, %zu peers were given back to it", endpoint_text(endpoint).s,
		name.s, n_back);
	return 0;
}
