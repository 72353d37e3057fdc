/*
 * Judges the peers that are there in the data plane, and removes those that cannot stay. Runs in
 * the broker, when a device was opened.
 */
#include "server/judgement.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "server/endpoint.h"

struct judgement judge_found(const struct endpoint *endpoint, const struct plane_found *found)
{
	const struct plane_peer *peer = &found->peer;
	struct judgement judgement = {""};
	char *fault = judgement.fault;
	const size_t size = sizeof judgement.fault;

	if (peer->inner.value == 0)
		snprintf(fault, size, "it has not exactly one address");
	else if (!pool_contains(endpoint->pool, peer->inner))
		snprintf(fault, size, "%s is no address of a peer in %s", ipv4_text(peer->inner).s,
			prefix_text(endpoint->config.block).s);
	else if (peer->kind != PEER_IPIP)
		return judgement;
	else if (!ipv4_equal(found->local, endpoint->config.bind))
		snprintf(fault, size, "its local address is %s", ipv4_text(found->local).s);
	else if (peer->remote.value == 0)
		snprintf(fault, size, "it has no remote address");
	else if (found->routed.value != 0 && !ipv4_equal(found->routed, peer->inner))
		snprintf(fault, size, "its route is to %s, not to %s", ipv4_text(found->routed).s,
			ipv4_text(peer->inner).s);
	return judgement;
}

int orphans_add(struct orphans *orphans, const struct endpoint *endpoint,
	const struct plane_found *found, const char *fault)
{
	struct plane_peer *peers =
		reallocarray(orphans->peers, orphans->n + 1, sizeof *orphans->peers);
	const char *name = found->interface.s;

	if (!peers)
		return -ENOMEM;
	orphans->peers = peers;
	peers[orphans->n++] = found->peer;
	log_warning("%s: removing %s%s%s: %s", endpoint_text(endpoint).s, name,
		name[0] != '\0' ? ", " : "", peer_text(&found->peer).s, fault);
	return 0;
}

int orphans_remove(const struct orphans *orphans, const struct endpoint *endpoint)
{
	int errors[PLANE_REMOVAL_BATCH];
	int error = 0;

	for (size_t done = 0; done < orphans->n && error == 0; done += PLANE_REMOVAL_BATCH) {
		size_t left = orphans->n - done;

		error = endpoint->plane->ops->remove(endpoint->device, orphans->peers + done,
			left < PLANE_REMOVAL_BATCH ? left : PLANE_REMOVAL_BATCH, errors);
	}
	return error;
}

void orphans_free(struct orphans *orphans)
{
	free(orphans->peers);
	*orphans = (struct orphans){0};
}
