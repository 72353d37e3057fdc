/*
 * Makes a lost device again and gives it its peers back. Runs in the broker, wherever a loss is
 * noticed.
 */
#include "server/heal.h"

#include <errno.h>
#include <stdbool.h>

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

/* It has gone again, or does not answer: what is asked of it next would fail likewise, and take as
 * long as an answer may. */
static bool is_lost(int error)
{
	return error == -ENODEV || error == -ETIMEDOUT;
}

/* Of a peer that is not there nothing happens. One whose endpoint cannot be restored comes back by
 * itself, when it notices that nobody answers (WireGuard paper 6.4: 15 s). Returns 0, or why no
 * other is to be tried. */
static int restore_endpoint(struct endpoint *endpoint, const struct peer *peer)
{
	int error =
		endpoint->plane->ops->restore_endpoint(endpoint->device, &peer->id, &peer->usage);

	if (error < 0)
		log_warning(
			"%s: %s has to find its way back alone: %s; its client does that within "
			"some 15 s, if it sends anything: nothing needs to be done",
			endpoint_text(endpoint).s, peer_text(&peer->id).s,
			plane_error(endpoint->plane));
	return is_lost(error) ? error : 0;
}

/* One that fails stays in the table: its next request writes it. Returns 0, also for such a one, or
 * why no other is to be tried. */
static int give_back(struct endpoint *endpoint, const struct plane_peer *id, size_t *n_back)
{
	int error = endpoint->plane->ops->add(endpoint->device, id);

	*n_back += error == 0;
	if (error < 0)
		log_error("%s: cannot make the tunnel of %s again: %s", endpoint_text(endpoint).s,
			peer_text(id).s, plane_error(endpoint->plane));
	return is_lost(error) ? error : 0;
}

/* As give_back() for n, in one go where none fails. */
static int give_back_many(
	struct endpoint *endpoint, const struct plane_peer *ids, size_t n, size_t *n_back)
{
	int error = n == 0 ? 0 : endpoint->plane->ops->add_many(endpoint->device, ids, n);

	if (error == 0)
		*n_back += n;
	if (error == 0 || is_lost(error))
		return error;
	error = 0;
	for (size_t i = 0; i < n && error == 0; i++)
		error = give_back(endpoint, &ids[i], n_back);
	return error;
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
		error = give_back_many(endpoint, batch, n, n_back);
		if (error < 0)
			return error;
		n = 0;
	}
	return give_back_many(endpoint, batch, n, n_back);
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
	hash_for_each (&endpoint->peers.table, node) {
		const struct peer *peer = hash_entry(node, struct peer, node);

		if (peer->last_reading == endpoint->reading)
			continue;
		error = restore_endpoint(endpoint, peer);
		if (error < 0)
			return error;
	}
	return 0;
}

/* What is left of it stays. An endpoint without a device is healed at its next inspection. */
static void give_up_device(struct endpoint *endpoint)
{
	if (endpoint->device)
		endpoint->plane->ops->close(endpoint->device, true);
	endpoint->device = NULL;
}

int endpoint_heal(struct endpoint *endpoint)
{
	const struct plane_name name = plane_device_name(endpoint->config.index);
	size_t n_back = 0;
	int error;

	log_warning("%s: %s has vanished, making it again", endpoint_text(endpoint).s, name.s);
	give_up_device(endpoint);
	error = endpoint->plane->ops->open(endpoint->plane, &endpoint->config, &endpoint->device);
	if (error < 0) {
		log_error("%s: cannot make %s again: %s", endpoint_text(endpoint).s, name.s,
			plane_error(endpoint->plane));
		endpoint->device = NULL;
		return error;
	}
	error = give_peers_back(endpoint, &n_back);
	if (error < 0) {
		log_error("%s: %s was lost again when %zu peers were given back to it: %s",
			endpoint_text(endpoint).s, name.s, n_back, plane_error(endpoint->plane));
		give_up_device(endpoint);
		return error;
	}
	log_info("%s: %s is back, %zu peers were given back to it", endpoint_text(endpoint).s,
		name.s, n_back);
	return 0;
}
