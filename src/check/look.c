/*
 * Asks the server, the data plane and the store, and compares what they say. Runs in `vprox check`.
 */
#include "check/look.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "check/comparison.h"
#include "check/holders.h"
#include "check/host_state.h"
#include "check/promised_holders.h"
#include "check/there.h"
#include "ipc/report.h"
#include "ipc/report_ask.h"

static const char see_log[] = "see the server's log";
static const char clean[] = "start a server for it, or `vprox clean`";
static const char pool_differs[] =
	"restart the server, which counts anew; this is a fault of vprox";

enum { MAX_INDEXES = 1024 };

struct look {
	struct check_result *check;
	struct report report;
	struct promises_read promises;
	struct holder_list there, table;
	struct plane *planes[2]; /* those that can have tunnels here; NULL after the last */
	bool left[MAX_INDEXES]; /* under which index there is something */
	size_t plane_of[MAX_INDEXES]; /* and of which plane */
};

static int add(struct look *look, struct ipv4 bind, const char *subject, const char *fault,
	const char *remedy)
{
	struct disagreement disagreement = {.bind = bind, .remedy = remedy};

	snprintf(disagreement.subject, sizeof disagreement.subject, "%s", subject);
	snprintf(disagreement.fault, sizeof disagreement.fault, "%s", fault);
	return disagreements_add(&look->check->disagreements, &disagreement);
}

/* The server */

static int read_table(struct look *look)
{
	const struct report *report = &look->report;
	int error = 0;

	for (uint32_t i = 0; i < report->header.n_peers && error == 0; i++) {
		const struct report_peer *peer = &report->peers[i];
		struct holder holder = {
			.bind = report->endpoints[peer->endpoint].bind,
			.peer = {.kind = peer->kind == REPORT_WIREGUARD ? PEER_WIREGUARD
									: PEER_IPIP,
				.inner = peer->inner},
		};

		if (holder.peer.kind == PEER_WIREGUARD)
			holder.peer.key = peer->key;
		else
			holder.peer.remote = peer->outer;
		error = holders_add(&look->table, &holder);
	}
	holders_sort(&look->table);
	look->check->n_table = look->table.n;
	return error;
}

static int ask_server(struct look *look)
{
	int error = report_ask(REPORT_SOCKET, REPORT_ALL, &look->report);

	look->check->runs = error == 0;
	if (error == 0)
		return read_table(look);
	if (error == -ENOENT || error == -ECONNREFUSED)
		return 0;
	look->check->ask_error = error;
	return error;
}

/* The data plane */

static int keep_leftover(void *context, const struct plane_leftover *leftover)
{
	struct look *look = context;
	size_t last = look->planes[1] ? 1 : 0;

	if (leftover->index >= MAX_INDEXES)
		return 0;
	look->left[leftover->index] = true;
	look->plane_of[leftover->index] = last;
	return 0;
}

/* As planes are read one after the other, the last one is it. */
static int discover(struct look *look, struct plane *plane, size_t place)
{
	int error;

	if (!plane) {
		log_error("cannot talk to the kernel: %s", strerror(errno));
		return -EIO;
	}
	look->planes[place] = plane;
	error = plane->ops->discover(plane, keep_leftover, look);
	if (error < 0)
		log_error("cannot see what is there: %s", plane_error(plane));
	return error;
}

/* Of a server that runs the one that it has; else either may have been it. */
static int find_planes(struct look *look)
{
	int error = 0;
	size_t n = 0;

	if (!look->check->runs || strcmp(look->report.header.plane, "kernel") == 0)
		error = discover(look, plane_kernel_new(), n++);
	if (error == 0 && (!look->check->runs || n == 0))
		error = discover(look, plane_embedded_new(), n);
	return error;
}

/* An endpoint and what is known of it. */
struct viewed {
	struct plane_endpoint config;
	bool has_device;
};

static int read_there(struct look *look, struct viewed *viewed)
{
	const unsigned int index = viewed->config.index;
	const size_t place = index < MAX_INDEXES ? look->plane_of[index] : 0;
	struct plane *plane = look->planes[place];
	int error = there_read(plane, &viewed->config, &look->there, &look->check->disagreements,
		&viewed->has_device);

	if (index < MAX_INDEXES)
		look->left[index] = false;
	if (error < 0 && error != -ENOMEM)
		log_error("%s: %s", plane_device_name(index).s, plane_error(plane));
	return error;
}

/* Comparing */

static int compare(struct look *look, const struct viewed *viewed)
{
	const struct plane_endpoint *config = &viewed->config;
	struct holder_list there = {0}, table = {0}, stored = {0};
	const struct comparison comparison = {
		.there = viewed->has_device ? &there : NULL,
		.table = look->check->runs ? &table : NULL,
		.stored = look->check->has_store ? &stored : NULL,
	};
	int error = holders_select(&look->there, config->bind, NULL, &there);

	if (error == 0)
		error = holders_select(&look->table, config->bind, NULL, &table);
	/* Promises of another block wait for its return. */
	if (error == 0)
		error = holders_select(
			&look->promises.holders, config->bind, &config->block, &stored);
	if (error == 0)
		error = compare_holders(&comparison, &look->check->disagreements);
	look->check->n_there += there.n;
	look->check->n_stored += stored.n;
	look->check->n_endpoints++;
	holders_free(&there);
	holders_free(&table);
	holders_free(&stored);
	return error;
}

static int look_at_endpoint(struct look *look, struct viewed *viewed)
{
	int error = read_there(look, viewed);

	holders_sort(&look->there);
	return error == 0 ? compare(look, viewed) : error;
}

/* With a server */

/* At the same moment as the pool's count; the peers themselves are told after it. */
static uint32_t count_peers(const struct report_endpoint *endpoint)
{
	return endpoint->n_wireguard + endpoint->n_ipip;
}

static int look_at_served(struct look *look, uint32_t number)
{
	const struct report_endpoint *endpoint = &look->report.endpoints[number];
	struct viewed viewed = {
		.config = {.index = endpoint->index,
			.bind = endpoint->bind,
			.gateway = endpoint->gateway,
			.block = {endpoint->block, (uint8_t)endpoint->block_length},
			.port = (uint16_t)endpoint->port},
	};
	int error = look_at_endpoint(look, &viewed);

	if (error == 0 && count_peers(endpoint) != endpoint->pool_taken)
		error = add(look, endpoint->bind, "the pool",
			"counts other addresses as taken than peers have", pool_differs);
	return error;
}

static int look_at_store(struct look *look)
{
	const struct report_store *store = &look->report.header.store;
	int error = 0;

	look->check->has_store = store->is_there && look->promises.is_there;
	if (store->is_there && !look->promises.is_there)
		error = add(look, (struct ipv4){0}, STORE_FOLDER "/" STORE_FILE, "is not there",
			see_log);
	if (error == 0 && store->is_there && !store->process.is_ready)
		error = add(look, (struct ipv4){0}, "the store", "does not run", see_log);
	return error;
}

static int look_at_running(struct look *look)
{
	int error = look_at_store(look);

	for (uint32_t i = 0; i < look->report.header.n_endpoints && error == 0; i++)
		error = look_at_served(look, i);
	return error == 0
		       ? host_state_check(&look->report, &look->table, &look->check->disagreements)
		       : error;
}

/* Without a server */

static bool is_promised(const struct look *look, struct ipv4 bind)
{
	for (size_t i = 0; i < look->promises.holders.n; i++)
		if (ipv4_equal(look->promises.holders.list[i].bind, bind))
			return true;
	return false;
}

static int look_at_stored(struct look *look, const struct stored_endpoint *endpoint)
{
	struct viewed viewed = {
		.config = {.index = endpoint->index,
			.bind = endpoint->bind,
			.gateway = {endpoint->network.value + 1},
			.block = {endpoint->network, (uint8_t)endpoint->length},
			.port = (uint16_t)endpoint->port},
	};
	bool is_there = endpoint->index < MAX_INDEXES && look->left[endpoint->index];

	/* One that nobody has a tunnel through: its server was stopped. */
	if (!is_there && !is_promised(look, endpoint->bind))
		return 0;
	return look_at_endpoint(look, &viewed);
}

static int look_at_leftovers(struct look *look)
{
	int error = 0;

	look->check->has_store = look->promises.is_there;
	for (size_t i = 0; i < look->promises.n_endpoints && error == 0; i++)
		error = look_at_stored(look, &look->promises.endpoints[i]);
	return error;
}

/* What is under an index that nobody knows. */
static int look_at_rest(struct look *look)
{
	int error = 0;

	for (unsigned int i = 0; i < MAX_INDEXES && error == 0; i++)
		if (look->left[i] && (look->check->runs || look->check->has_store))
			error = add(look, (struct ipv4){0}, plane_device_name(i).s,
				"or links of its endpoint are there, and nobody serves it", clean);
	return error;
}

static void free_look(struct look *look)
{
	if (look->check->runs)
		report_free(&look->report);
	promises_free(&look->promises);
	holders_free(&look->there);
	holders_free(&look->table);
	for (size_t i = 0; i < 2; i++)
		if (look->planes[i])
			look->planes[i]->ops->free(look->planes[i]);
	free(look);
}

int look_at_server(struct check_result *check)
{
	struct look *look = calloc(1, sizeof *look);
	int error;

	if (!look)
		return -ENOMEM;
	look->check = check;
	error = ask_server(look);
	if (error == 0)
		error = promises_read(&look->promises);
	if (error == 0)
		error = find_planes(look);
	if (error == 0)
		error = check->runs ? look_at_running(look) : look_at_leftovers(look);
	if (error == 0)
		error = look_at_rest(look);
	free_look(look);
	return error;
}
