/*
 * Describes all endpoints, and opens and closes them on the data plane. Runs in the broker, at its
 * start and end.
 */
#include "server/data_plane.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "server/adoption.h"
#include "server/config.h"
#include "server/destinations.h"
#include "server/flow_purge.h"
#include "server/handshake_floor.h"
#include "server/name_file.h"
#include "server/peer_events.h"
#include "server/plane_choice.h"
#include "server/promises.h"
#include "server/requests.h"
#include "server/rest.h"
#include "server/restoration.h"
#include "server/standby.h"
#include "server/store_setup.h"

unsigned int data_plane_blocks(const struct server_config *config)
{
	uint64_t n_blocks = UINT64_C(1) << (config->block_length - config->whole_block.length);

	return n_blocks < MAX_BINDS ? (unsigned int)n_blocks : MAX_BINDS;
}

/* In a fleet an address keeps its key on whichever host it is. */
static const struct key *choose_key(
	const struct promised *promised, struct ipv4 bind, const struct key *own)
{
	const struct stored_endpoint *stored =
		promised->is_of_fleet ? promised_endpoint(promised, bind) : NULL;

	return stored && !key_is_zero(&stored->private_key) ? &stored->private_key : own;
}

struct endpoint *data_plane_describe_at(
	struct data_plane *data_plane, struct ipv4 bind, unsigned int index)
{
	const struct server_config *config = data_plane->config;
	const struct promised *promised = &data_plane->store->promised;
	const struct key *private_key = choose_key(promised, bind, data_plane->private_key);
	struct endpoint *endpoint = calloc(1, sizeof *endpoint);

	if (!endpoint)
		return NULL;
	*endpoint = (struct endpoint){
		.config = {.index = index,
			.bind = bind,
			.port = (uint16_t)(WIREGUARD_PORT + index),
			.private_key = *private_key},
		.store = data_plane->store->link,
		.held = data_plane->store->held,
		.audit = data_plane->audit,
		.owner_feed = data_plane->owner_feed,
		.plane = data_plane->plane,
		.operations = data_plane->operations,
		.floor.reserved_s = promised_floor_s(promised, private_key),
		.name_file = data_plane->name_file,
		.name_rules = &data_plane->name_rules,
		.clock = &system_clock,
		.max_peers_per_source = config->max_peers_per_source,
		.answer = data_plane->answer,
		.answer_context = data_plane->answer_context,
	};
	prefix_subnet(config->whole_block, config->block_length, index, &endpoint->config.block);
	endpoint->config.gateway = pool_gateway(endpoint->config.block);
	TAILQ_INSERT_TAIL(&data_plane->endpoints, endpoint, entry);
	return key_derive_public(private_key, &endpoint->public_key) < 0 ? NULL : endpoint;
}

int data_plane_init(struct data_plane *data_plane, const struct server_config *config,
	const struct key *private_key, const struct data_plane_answer *answer)
{
	TAILQ_INIT(&data_plane->endpoints);
	data_plane->config = config;
	data_plane->name_rules =
		(struct name_rules){.config = config, .endpoints = &data_plane->endpoints};
	if (config->store == STORE_NONE)
		data_plane->name_file = name_file_open(&data_plane->endpoints);
	else
		name_file_remove();
	data_plane->private_key = private_key;
	data_plane->answer = answer->answer;
	data_plane->answer_context = answer->context;
	return plane_choose(config, &data_plane->plane);
}

struct endpoint *data_plane_endpoint(const struct data_plane *data_plane, struct ipv4 bind)
{
	struct endpoint *endpoint;

	TAILQ_FOREACH (endpoint, &data_plane->endpoints, entry)
		if (ipv4_equal(endpoint->config.bind, bind))
			return endpoint;
	return NULL;
}

static bool is_used(const struct data_plane *data_plane, unsigned int index)
{
	const struct endpoint *endpoint;

	TAILQ_FOREACH (endpoint, &data_plane->endpoints, entry)
		if (endpoint->config.index == index)
			return true;
	return false;
}

static bool is_taken(const struct data_plane *data_plane, unsigned int index)
{
	const struct promised *promised = &data_plane->store->promised;

	if (is_used(data_plane, index))
		return true;
	for (size_t i = 0; promised->is_of_fleet && i < promised->n_endpoints; i++)
		if (promised->endpoints[i].index == index)
			return true;
	return false;
}

/* As it was promised, on whichever host, or the lowest that nobody has: also where another address
 * was given that while its fleet could not be asked, which will be told. */
static unsigned int choose_index(
	const struct data_plane *data_plane, struct ipv4 bind, unsigned int n_blocks)
{
	const struct stored_endpoint *stored =
		promised_endpoint(&data_plane->store->promised, bind);
	unsigned int index = 0;

	if (stored && data_plane->store->promised.is_of_fleet &&
		!is_used(data_plane, stored->index))
		return stored->index;
	while (index < n_blocks && is_taken(data_plane, index))
		index++;
	return index;
}

struct endpoint *data_plane_describe(struct data_plane *data_plane, struct ipv4 bind)
{
	unsigned int n_blocks = data_plane_blocks(data_plane->config);
	unsigned int index = choose_index(data_plane, bind, n_blocks);

	if (index < n_blocks)
		return data_plane_describe_at(data_plane, bind, index);
	log_error("%s is not served: all %u blocks of --wg-block-per-ip are other addresses'",
		ipv4_text(bind).s, n_blocks);
	return NULL;
}

bool data_plane_starts_processes(const struct data_plane *data_plane)
{
	return !data_plane->config->device_unit &&
	       strcmp(data_plane->plane->ops->name, "kernel") != 0;
}

static void forget_unused(void *context, const struct address_set *addresses)
{
	const struct data_plane *data_plane = context;

	destinations_forget(&data_plane->name_rules, addresses);
}

static void serve_pending(void *context, struct endpoint *endpoint)
{
	(void)context;
	endpoint_serve_pending(endpoint);
}

static int start_flow_purge(struct data_plane *data_plane)
{
	const struct flow_purge_config config = {
		.block = data_plane->config->whole_block,
		.endpoints = &data_plane->endpoints,
		.delete = conntrack_delete,
		.unused = forget_unused,
		.freed = serve_pending,
		.context = data_plane,
		.clock = &system_clock,
		.times = &flow_purge_times,
	};
	int error = flow_purge_new(data_plane->base, &config, &data_plane->flow_purge);
	struct endpoint *endpoint;

	if (error < 0)
		log_error("cannot look for connections of addresses that nobody holds: %s",
			strerror(-error));
	data_plane_for_each(data_plane, endpoint) endpoint->flow_purge = data_plane->flow_purge;
	return error;
}

/* For the first time. On failure it is open, to be closed by the caller. */
static int open_new(struct data_plane *data_plane, struct endpoint *endpoint)
{
	int error = endpoint_open(endpoint, data_plane->base);

	if (error < 0)
		return error;
	name_file_recall(data_plane->name_file, endpoint);
	endpoint_keep_promises(endpoint, &data_plane->store->promised);
	peer_events_adopted(endpoint);
	log_info("%s: %s, block %s, WireGuard on UDP port %u", endpoint_text(endpoint).s,
		plane_device_name(endpoint->config.index).s, prefix_text(endpoint->config.block).s,
		endpoint->config.port);
	return 0;
}

static void take_over(struct data_plane *data_plane, struct endpoint *endpoint)
{
	standby_take_over(endpoint, &data_plane->store->promised, data_plane->base);
	endpoint->flow_purge = data_plane->flow_purge;
	flow_purge_opened(data_plane->flow_purge, endpoint);
}

int data_plane_open_endpoint(struct data_plane *data_plane, struct endpoint *endpoint)
{
	int error;

	if (endpoint->state == ENDPOINT_OPEN)
		return 0;
	if (endpoint->state == ENDPOINT_AT_REST)
		return endpoint_wake(endpoint);
	if (endpoint->state == ENDPOINT_STANDBY) {
		take_over(data_plane, endpoint);
		return 0;
	}
	error = open_new(data_plane, endpoint);
	if (error < 0)
		endpoint_close(endpoint, false);
	else
		flow_purge_opened(data_plane->flow_purge, endpoint);
	return error;
}

int data_plane_open(struct data_plane *data_plane, struct event_base *base)
{
	struct endpoint *endpoint;
	int error = 0;

	data_plane->base = base;
	TAILQ_FOREACH (endpoint, &data_plane->endpoints, entry)
		if (endpoint->is_served && error == 0)
			error = open_new(data_plane, endpoint);
	if (error == 0 && data_plane->name_file) {
		name_file_begin(data_plane->name_file, base);
		/* Of those that had no name before it was recalled. */
		destinations_enforce(&data_plane->name_rules);
	}
	return error < 0 ? error : start_flow_purge(data_plane);
}

void data_plane_decide_what_stays(struct data_plane *data_plane, bool started)
{
	struct endpoint *endpoint;

	TAILQ_FOREACH (endpoint, &data_plane->endpoints, entry) {
		/* A start that failed has broken no promise of an earlier server. */
		if (!started)
			endpoint->keep = endpoint->adopts;
		else if (data_plane->config->keep_on_exit)
			endpoint->keep = endpoint->state != ENDPOINT_STANDBY;
		if (started && !endpoint->keep && endpoint->state == ENDPOINT_OPEN)
			promise_nobody(endpoint);
	}
}

static void free_endpoint(struct endpoint *endpoint)
{
	key_wipe(&endpoint->config.private_key);
	free(endpoint);
}

static int close_endpoint(struct endpoint *endpoint)
{
	/* A start that failed before it was promised anything has nothing to settle. */
	const bool is_to_be_settled = endpoint->state == ENDPOINT_OPEN && !endpoint->keep &&
				      endpoint->floor.timestamp_ns != 0;
	int error;

	endpoint->flow_purge = NULL;
	if (endpoint->state == ENDPOINT_DESCRIBED)
		return 0;
	if (!endpoint->keep)
		peer_events_ended(endpoint, "the server stops");
	if (is_to_be_settled)
		handshake_floor_reserve(endpoint);
	error = endpoint_close(endpoint, endpoint->keep);
	if (is_to_be_settled && error == 0) {
		handshake_floor_settle(endpoint);
		promise_endpoint(endpoint);
	}
	if (error < 0)
		log_error("%s: cannot remove %s: %s", endpoint_text(endpoint).s,
			plane_device_name(endpoint->config.index).s, plane_error(endpoint->plane));
	return error;
}

void data_plane_forget(struct data_plane *data_plane, struct ipv4 bind)
{
	struct endpoint *endpoint = data_plane_endpoint(data_plane, bind);

	if (!endpoint)
		return;
	if (endpoint->state != ENDPOINT_DESCRIBED) {
		peer_events_ended(endpoint, "its address is another host's");
		endpoint_close(endpoint, false);
	}
	TAILQ_REMOVE(&data_plane->endpoints, endpoint, entry);
	free_endpoint(endpoint);
}

size_t data_plane_count(const struct data_plane *data_plane)
{
	const struct endpoint *endpoint;
	size_t n = 0;

	data_plane_for_each(data_plane, endpoint) n++;
	return n;
}

bool data_plane_keep_promises(struct data_plane *data_plane, struct ipv4 bind)
{
	struct endpoint *endpoint = data_plane_endpoint(data_plane, bind);

	if (!endpoint || !endpoint->is_served)
		return false;
	endpoint_keep_late_promises(endpoint, &data_plane->store->promised);
	peer_events_adopted(endpoint);
	return true;
}

void data_plane_forsake(struct data_plane *data_plane, struct ipv4 bind)
{
	struct endpoint *endpoint = data_plane_endpoint(data_plane, bind);

	if (endpoint)
		endpoint->store = NULL;
}

int data_plane_close(struct data_plane *data_plane)
{
	struct endpoint *endpoint;
	int result = 0;

	flow_purge_free(data_plane->flow_purge);
	data_plane->flow_purge = NULL;
	name_file_settle(data_plane->name_file);
	TAILQ_FOREACH (endpoint, &data_plane->endpoints, entry) {
		int error = close_endpoint(endpoint);

		result = error < 0 ? error : result;
	}
	return result;
}

static bool does_any_stay(const struct data_plane *data_plane)
{
	const struct endpoint *endpoint;

	TAILQ_FOREACH (endpoint, &data_plane->endpoints, entry)
		if (endpoint->keep)
			return true;
	return false;
}

void data_plane_free(struct data_plane *data_plane)
{
	struct endpoint *endpoint;

	name_file_close(data_plane->name_file, does_any_stay(data_plane));
	while ((endpoint = TAILQ_FIRST(&data_plane->endpoints))) {
		TAILQ_REMOVE(&data_plane->endpoints, endpoint, entry);
		free_endpoint(endpoint);
	}
	if (data_plane->plane)
		data_plane->plane->ops->free(data_plane->plane);
}
