/*
 * Opening an endpoint, which reads back who holds which address, and closing it. Runs in the
 * broker, at its start and end.
 */
#include "server/adoption.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "server/endpoint.h"
#include "server/removals.h"

struct adoption {
	struct endpoint *endpoint;
	size_t n_adopted;
	struct plane_peer *orphans;
	size_t n_orphans;
};

static int add_orphan(struct adoption *adoption, const struct plane_peer *id)
{
	struct plane_peer *orphans =
		reallocarray(adoption->orphans, adoption->n_orphans + 1, sizeof *orphans);

	if (!orphans)
		return -ENOMEM;
	orphans[adoption->n_orphans++] = *id;
	adoption->orphans = orphans;
	return 0;
}

/* The plane has removed what cannot be right; what the pool still will not have goes likewise. */
static int adopt_peer(void *context, const struct plane_peer *id, const struct plane_usage *usage)
{
	struct adoption *adoption = context;
	struct endpoint *endpoint = adoption->endpoint;
	struct peer *peer = NULL;
	int error =
		peers_find(&endpoint->peers, id) ? -EEXIST : pool_claim(endpoint->pool, id->inner);

	if (error == 0) {
		peer = peers_add(&endpoint->peers, id, clock_now_ms(endpoint->clock));
		if (!peer) {
			pool_release(endpoint->pool, id->inner);
			error = -ENOMEM;
		}
	}
	if (error == -ENOMEM)
		return error;
	if (error < 0) {
		log_warning("%s: removing %s, which holds %s: %s", endpoint_text(endpoint).s,
			peer_text(id).s, ipv4_text(id->inner).s, strerror(-error));
		return add_orphan(adoption, id);
	}
	peer_adopt_usage(peer, usage);
	adoption->n_adopted++;
	return 0;
}

static int remove_orphans(const struct adoption *adoption)
{
	const struct endpoint *endpoint = adoption->endpoint;
	int errors[PLANE_REMOVAL_BATCH];
	int error = 0;

	for (size_t done = 0; done < adoption->n_orphans && error == 0;
		done += PLANE_REMOVAL_BATCH) {
		size_t left = adoption->n_orphans - done;

		error = endpoint->plane->ops->remove(endpoint->device, adoption->orphans + done,
			left < PLANE_REMOVAL_BATCH ? left : PLANE_REMOVAL_BATCH, errors);
	}
	return error;
}

static int adopt_peers(struct endpoint *endpoint)
{
	struct adoption adoption = {.endpoint = endpoint};
	int error;

	endpoint->read_ms = clock_now_ms(endpoint->clock);
	error = endpoint->plane->ops->dump(endpoint->device, adopt_peer, &adoption);

	if (error == 0)
		error = remove_orphans(&adoption);
	free(adoption.orphans);
	if (error < 0) {
		log_error("%s: cannot read back its peers: %s", endpoint_text(endpoint).s,
			error == -ENOMEM ? strerror(ENOMEM) : plane_error(endpoint->plane));
		return error;
	}
	if (adoption.n_adopted > 0)
		log_info("%s: adopted %zu peers", endpoint_text(endpoint).s, adoption.n_adopted);
	return 0;
}

int endpoint_open(struct endpoint *endpoint, struct event_base *base)
{
	int error = pool_new(endpoint->config.block, &endpoint->pool);

	if (error == 0)
		error = peers_init(&endpoint->peers);
	if (error == 0)
		error = removals_init(&endpoint->removals, endpoint, base);
	if (error < 0) {
		log_error("%s: cannot set up block %s: %s", endpoint_text(endpoint).s,
			prefix_text(endpoint->config.block).s, strerror(-error));
		return error;
	}
	error = endpoint->plane->ops->open(endpoint->plane, &endpoint->config, &endpoint->device);
	if (error < 0) {
		log_error("%s: cannot open %s: %s", endpoint_text(endpoint).s,
			plane_device_name(endpoint->config.index).s, plane_error(endpoint->plane));
		return error;
	}
	return adopt_peers(endpoint);
}

int endpoint_close(struct endpoint *endpoint, bool keep)
{
	int error = 0;

	removals_free(&endpoint->removals);
	if (endpoint->device)
		error = endpoint->plane->ops->close(endpoint->device, keep);
	endpoint->device = NULL;
	peers_free(&endpoint->peers);
	pool_free(endpoint->pool);
	endpoint->pool = NULL;
	return error;
}
