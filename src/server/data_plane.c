/*
 * Chooses the data plane, and opens and closes all endpoints on it. Runs in the broker, at its
 * start and end.
 */
#include "server/data_plane.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "server/adoption.h"
#include "server/config.h"
#include "server/flow_purge.h"
#include "server/promises.h"
#include "server/requests.h"
#include "server/restoration.h"
#include "server/store_setup.h"

enum {
	MAX_LEFTOVERS = 4 * MAX_BINDS, /* of earlier servers; more than any host has had */
};

/* Takes a plane if this host can do it. */
static int try_plane(struct data_plane *data_plane, struct plane *plane)
{
	int error = plane ? plane->ops->probe(plane) : -errno;

	data_plane->plane = plane;
	if (!plane)
		log_error("cannot talk to the kernel: %s; allow sockets of AF_NETLINK where a unit "
			  "or a container limits address families",
			strerror(-error));
	return error;
}

static struct plane *new_embedded(const struct server_config *config)
{
	struct plane *plane = plane_embedded_new();

	if (plane && config->device_unit)
		plane_embedded_use_unit(plane, config->device_unit);
	return plane;
}

static int choose_plane(struct data_plane *data_plane)
{
	const struct server_config *config = data_plane->config;
	enum plane_choice choice = config->plane;
	int error = try_plane(
		data_plane, choice == PLANE_EMBEDDED ? new_embedded(config) : plane_kernel_new());

	if (error == -EOPNOTSUPP && choice == PLANE_AUTO) {
		log_info("not the kernel's data plane: %s", plane_error(data_plane->plane));
		data_plane->plane->ops->free(data_plane->plane);
		error = try_plane(data_plane, new_embedded(config));
	}
	if (error < 0) {
		if (data_plane->plane)
			log_error("--plane: %s%s", plane_error(data_plane->plane),
				error == -EOPNOTSUPP && choice == PLANE_KERNEL
					? ": use --plane=embedded"
					: "");
		return error;
	}
	log_info("data plane: %s", data_plane->plane->ops->name);
	return 0;
}

struct discovery {
	struct plane_leftover *leftovers;
	size_t n_leftovers;
};

static int keep_leftover(void *context, const struct plane_leftover *leftover)
{
	struct discovery *discovery = context;

	if (discovery->n_leftovers == MAX_LEFTOVERS)
		return -E2BIG;
	discovery->leftovers[discovery->n_leftovers++] = *leftover;
	return 0;
}

static const char *why_stale(
	const struct server_config *config, const struct plane_leftover *leftover)
{
	for (size_t i = 0; leftover->has_bind && i < config->n_binds; i++)
		if (ipv4_equal(config->binds[i], leftover->bind))
			return "that address has another interface, or --wg-block has no such "
			       "block now";
	return leftover->has_bind ? "that is none of --ip now" : "no --ip has its place now";
}

static int remove_stale(struct data_plane *data_plane, const struct discovery *discovery)
{
	for (size_t i = 0; i < discovery->n_leftovers; i++) {
		const struct plane_leftover *leftover = &discovery->leftovers[i];
		int error;

		if (!assignment_is_stale(
			    leftover, data_plane->assignments, data_plane->config->n_binds))
			continue;
		log_warning("removing %s and its tunnels, left by an earlier server for %s: %s",
			plane_device_name(leftover->index).s,
			leftover->has_bind ? ipv4_text(leftover->bind).s : "an unknown address",
			why_stale(data_plane->config, leftover));
		error = data_plane->plane->ops->remove_all(data_plane->plane, leftover->index);
		if (error < 0) {
			log_error("cannot remove %s: %s", plane_device_name(leftover->index).s,
				plane_error(data_plane->plane));
			return error;
		}
	}
	return 0;
}

/* The other hosts of a fleet may have them all. */
static int check_indexes(const struct data_plane *data_plane, unsigned int n_indexes)
{
	const struct server_config *config = data_plane->config;

	for (size_t i = 0; i < config->n_binds; i++) {
		if (data_plane->assignments[i].index < n_indexes)
			continue;
		log_error("no block is left for %s: %s has %u, and others have theirs",
			ipv4_text(config->binds[i]).s, prefix_text(config->whole_block).s,
			n_indexes);
		return -ENOSPC;
	}
	return 0;
}

static int assign(struct data_plane *data_plane)
{
	const struct server_config *config = data_plane->config;
	uint64_t n_blocks = UINT64_C(1) << (config->block_length - config->whole_block.length);
	unsigned int n_indexes = n_blocks < MAX_BINDS ? (unsigned int)n_blocks : MAX_BINDS;
	struct discovery discovery = {calloc(MAX_LEFTOVERS, sizeof(*discovery.leftovers)), 0};
	int error = -ENOMEM;

	data_plane->assignments = calloc(config->n_binds, sizeof(*data_plane->assignments));
	if (!discovery.leftovers || !data_plane->assignments)
		goto out;
	error = data_plane->plane->ops->discover(data_plane->plane, keep_leftover, &discovery);
	if (error < 0) {
		log_error("cannot see what an earlier server left: %s",
			error == -E2BIG ? "too many interfaces" : plane_error(data_plane->plane));
		goto out;
	}
	assign_indexes(config->binds, config->n_binds, discovery.leftovers, discovery.n_leftovers,
		n_indexes, &data_plane->store->promised, data_plane->assignments);
	error = check_indexes(data_plane, n_indexes);
	if (error == 0)
		error = remove_stale(data_plane, &discovery);
out:
	free(discovery.leftovers);
	return error;
}

/* In a fleet an address keeps its key on whichever host it is. */
static const struct key *choose_key(
	const struct promised *promised, struct ipv4 bind, const struct key *own)
{
	const struct stored_endpoint *stored =
		promised->is_of_fleet ? promised_endpoint(promised, bind) : NULL;

	return stored && !key_is_zero(&stored->private_key) ? &stored->private_key : own;
}

static int describe_endpoint(struct data_plane *data_plane, size_t i, const struct key *own_key,
	const struct data_plane_answer *answer)
{
	const struct server_config *config = data_plane->config;
	struct endpoint *endpoint = &data_plane->endpoints[i];
	unsigned int index = data_plane->assignments[i].index;
	const struct key *private_key =
		choose_key(&data_plane->store->promised, config->binds[i], own_key);

	*endpoint = (struct endpoint){
		.config = {.index = index,
			.bind = config->binds[i],
			.port = (uint16_t)(WIREGUARD_PORT + index),
			.private_key = *private_key},
		.store = data_plane->store->link,
		.held = data_plane->store->held,
		.plane = data_plane->plane,
		.floor.reserved_s = promised_floor_s(&data_plane->store->promised, private_key),
		.clock = &system_clock,
		.max_peers_per_source = config->max_peers_per_source,
		.answer = answer->answer,
		.answer_context = answer->context,
	};
	prefix_subnet(config->whole_block, config->block_length, index, &endpoint->config.block);
	endpoint->config.gateway = pool_gateway(endpoint->config.block);
	return key_derive_public(private_key, &endpoint->public_key);
}

int data_plane_find(struct data_plane *data_plane, const struct server_config *config,
	const struct key *private_key, const struct data_plane_answer *answer)
{
	int error;

	data_plane->config = config;
	error = choose_plane(data_plane);
	if (error == 0)
		error = assign(data_plane);
	if (error < 0)
		return error;
	data_plane->endpoints = calloc(config->n_binds, sizeof(*data_plane->endpoints));
	if (!data_plane->endpoints)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_binds && error == 0; i++)
		error = describe_endpoint(data_plane, i, private_key, answer);
	return error;
}

bool data_plane_starts_processes(const struct data_plane *data_plane)
{
	return !data_plane->config->device_unit &&
	       strcmp(data_plane->plane->ops->name, "kernel") != 0;
}

static void serve_pending(void *context, struct endpoint *endpoint)
{
	(void)context;
	endpoint_serve_pending(endpoint);
}

static int start_flow_purge(struct data_plane *data_plane, struct event_base *base)
{
	const struct flow_purge_config config = {
		.block = data_plane->config->whole_block,
		.endpoints = data_plane->endpoints,
		.n_endpoints = data_plane->n_open,
		.delete = conntrack_delete,
		.freed = serve_pending,
		.clock = &system_clock,
		.times = &flow_purge_times,
	};
	int error = flow_purge_new(base, &config, &data_plane->flow_purge);

	if (error < 0)
		log_error("cannot look for connections of addresses that nobody holds: %s",
			strerror(-error));
	for (size_t i = 0; i < data_plane->n_open; i++)
		data_plane->endpoints[i].flow_purge = data_plane->flow_purge;
	return error;
}

int data_plane_open(struct data_plane *data_plane, struct event_base *base)
{
	int error = 0;

	for (size_t i = 0; i < data_plane->config->n_binds && error == 0; i++) {
		const struct endpoint *endpoint = &data_plane->endpoints[i];

		data_plane->n_open++;
		error = endpoint_open(&data_plane->endpoints[i], base);
		if (error < 0)
			break;
		endpoint_keep_promises(&data_plane->endpoints[i], &data_plane->store->promised);
		log_info("%s: %s, block %s, WireGuard on UDP port %u", endpoint_text(endpoint).s,
			plane_device_name(endpoint->config.index).s,
			prefix_text(endpoint->config.block).s, endpoint->config.port);
	}
	return error < 0 ? error : start_flow_purge(data_plane, base);
}

void data_plane_decide_what_stays(struct data_plane *data_plane, bool started)
{
	for (size_t i = 0; data_plane->endpoints && i < data_plane->config->n_binds; i++) {
		struct endpoint *endpoint = &data_plane->endpoints[i];

		/* A start that failed has broken no promise of an earlier server. */
		if (!started)
			endpoint->keep = data_plane->assignments[i].adopts;
		else if (data_plane->config->keep_on_exit)
			endpoint->keep = true;
		if (started && !endpoint->keep)
			promise_nobody(endpoint);
	}
}

void data_plane_promise_all(struct data_plane *data_plane)
{
	for (size_t i = 0; i < data_plane->n_open; i++) {
		struct endpoint *endpoint = &data_plane->endpoints[i];

		promise_nobody(endpoint);
		promise_endpoint(endpoint);
		hash_for_each (&endpoint->peers.table, node)
			promise_peer(endpoint, hash_entry(node, struct peer, node));
	}
}

void data_plane_forsake(struct data_plane *data_plane, struct ipv4 bind)
{
	for (size_t i = 0; data_plane->endpoints && i < data_plane->config->n_binds; i++)
		if (ipv4_equal(data_plane->endpoints[i].config.bind, bind))
			data_plane->endpoints[i].store = NULL;
}

int data_plane_close(struct data_plane *data_plane)
{
	int result = 0;

	flow_purge_free(data_plane->flow_purge);
	data_plane->flow_purge = NULL;
	for (size_t i = 0; i < data_plane->n_open; i++) {
		struct endpoint *endpoint = &data_plane->endpoints[i];
		int error;

		endpoint->flow_purge = NULL;
		error = endpoint_close(endpoint, endpoint->keep);

		if (error < 0) {
			log_error("%s: cannot remove %s: %s", endpoint_text(endpoint).s,
				plane_device_name(endpoint->config.index).s,
				plane_error(data_plane->plane));
			result = error;
		}
	}
	return result;
}

void data_plane_free(struct data_plane *data_plane)
{
	for (size_t i = 0; data_plane->endpoints && i < data_plane->config->n_binds; i++)
		key_wipe(&data_plane->endpoints[i].config.private_key);
	free(data_plane->endpoints);
	free(data_plane->assignments);
	if (data_plane->plane)
		data_plane->plane->ops->free(data_plane->plane);
}
