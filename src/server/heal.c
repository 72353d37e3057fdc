/*
 * Makes a lost device again and gives it its peers back. Runs in the broker, wherever a loss is
 * noticed.
 */
#include "server/heal.h"

#include "base/log.h"
#include "server/endpoint.h"
#include "server/judgement.h"

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

/* Of a peer that is not there nothing happens. One whose endpoint cannot be restored comes back by
 * itself, when it notices. */
static void restore_endpoint(struct endpoint *endpoint, const struct peer *peer)
{
	if (endpoint->plane->ops->restore_endpoint(endpoint->device, &peer->id, &peer->usage) < 0)
		log_warning("%s: %s has to find its way back alone: %s", endpoint_text(endpoint).s,
			peer_text(&peer->id).s, plane_error(endpoint->plane));
}

/* One that fails stays in the table: its next request writes it. Returns whether it is there. */
static bool give_back(struct endpoint *endpoint, const struct plane_peer *id)
{
	if (endpoint->plane->ops->add(endpoint->device, id) == 0)
		return true;
	log_error("%s: cannot make the tunnel of %s again: %s", endpoint_text(endpoint).s,
		peer_text(id).s, plane_error(endpoint->plane));
	return false;
}

/* Returns how many are there. */
static size_t give_back_many(struct endpoint *endpoint, const struct plane_peer *ids, size_t n)
{
	size_t n_back = 0;

	if (n == 0 || endpoint->plane->ops->add_many(endpoint->device, ids, n) == 0)
		return n;
	for (size_t i = 0; i < n; i++)
		n_back += give_back(endpoint, &ids[i]);
	return n_back;
}

/*
 * Gives the new device the peers that it does not have. As long as they are nowhere but in this
 * process, its death would be their loss: so they are given back all together and at once, and only
 * then begins what takes time.
 */
static size_t give_peers_back(struct endpoint *endpoint)
{
	struct plane_peer batch[PLANE_ADD_BATCH];
	size_t n = 0, n_back = 0;

	find_present(endpoint);
	hash_for_each (&endpoint->peers.table, node) {
		const struct peer *peer = hash_entry(node, struct peer, node);

		if (peer->last_reading == endpoint->reading)
			continue;
		batch[n++] = peer->id;
		if (n < PLANE_ADD_BATCH)
			continue;
		n_back += give_back_many(endpoint, batch, n);
		n = 0;
	}
	n_back += give_back_many(endpoint, batch, n);
	hash_for_each (&endpoint->peers.table, node) {
		const struct peer *peer = hash_entry(node, struct peer, node);

		if (peer->last_reading != endpoint->reading)
			restore_endpoint(endpoint, peer);
	}
	return n_back;
}

int endpoint_heal(struct endpoint *endpoint)
{
	const struct plane_name name = plane_device_name(endpoint->config.index);
	size_t n;
	int error;

	log_warning("%s: %s has vanished, making it again", endpoint_text(endpoint).s, name.s);
	if (endpoint->device)
		endpoint->plane->ops->close(endpoint->device, true);
	endpoint->device = NULL;
	error = endpoint->plane->ops->open(endpoint->plane, &endpoint->config, &endpoint->device);
	if (error < 0) {
		log_error("%s: cannot make %s again: %s", endpoint_text(endpoint).s, name.s,
			plane_error(endpoint->plane));
		endpoint->device = NULL;
		return error;
	}
	n = give_peers_back(endpoint);
	log_info("%s: %s is back, %zu peers were given back to it", endpoint_text(endpoint).s,
		name.s, n);
	return 0;
}
