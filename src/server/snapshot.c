/*
 * Writes what is told of the server: to `vprox show`, and for metrics. Runs in the broker.
 */
#include "server/snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/version.h"
#include "host/firewall.h"
#include "host/host.h"
#include "host/tracking.h"
#include "ipc/report.h"
#include "netlink/conntrack.h"
#include "server/audit.h"
#include "server/config.h"
#include "server/data_plane.h"
#include "server/child.h"
#include "server/flow_link.h"
#include "server/gate_supervisor.h"
#include "server/signer_supervisor.h"
#include "server/store_link.h"
#include "server/usage.h"

_Static_assert((int)REPORT_DIGEST_SIZE == (int)FIREWALL_DIGEST_SIZE, "what is reported");

enum {
	/* The plane is not read again before this. */
	REFRESH_PERIOD_MS = 1000,
	READING_MS = 5, /* that others may wait for one */
};

static int append(struct evbuffer *out, const void *data, size_t length)
{
	return evbuffer_add(out, data, length) < 0 ? -ENOMEM : 0;
}

/* What cannot be read stays zero. */
static void read_host(const struct host *host, struct report_header *header)
{
	struct tracking_load load;

	if (!host)
		return;
	memcpy(header->firewall, host_firewall(host), sizeof header->firewall);
	header->is_full = host_is_full(host);
	if (tracking_read(&load) == 0) {
		header->n_tracked = load.n;
		header->max_tracked = load.max;
	}
	if (conntrack_count_clashes(&header->n_clashes) < 0)
		log_debug("cannot read how many connections had no port");
	if (firewall_count_refused(report_refusal_names, header->refused, REPORT_N_REFUSALS) < 0)
		log_debug("cannot read what the firewall has refused");
}

static struct report_process describe_process(const struct child *child)
{
	return (struct report_process){
		.number = child->number,
		.pid = (uint32_t)child->pid,
		.is_ready = child->is_ready,
		.n_restarts = child->generation > 0 ? (uint32_t)child->generation - 1 : 0,
		.uptime_ms = child->pid != 0 ? clock_now_ms(&system_clock) - child->started_ms : 0,
	};
}

static void describe_store(const struct store_link *store, struct report_store *reported)
{
	const struct stored_state *state;

	if (!store)
		return;
	state = store_link_state(store);
	*reported = (struct report_store){
		.is_there = 1,
		.n_behind = (uint32_t)store_link_behind(store),
		.process = describe_process(store_link_process(store)),
		.lag_ms = store_link_lag_ms(store),
		.n_refused = state->n_refused,
		.n_addresses = state->n_addresses,
		.n_need_second_key = state->n_need_second_key,
		.needs_second_key = state->needs_second_key,
		.clock_ahead_s = state->clock_ahead_s,
	};
}

void snapshot_add_process(
	struct snapshot_source *source, const char *kind, struct report_process process)
{
	struct report_other *other = &source->others[source->n_others];

	if (source->n_others == SNAPSHOT_MAX_OTHERS)
		return;
	other->process = process;
	snprintf(other->name, sizeof other->name, "%s", kind);
	source->n_others++;
}

void snapshot_add(struct snapshot_source *source, const char *kind, const struct child *child)
{
	if (child)
		snapshot_add_process(source, kind, describe_process(child));
}

/* How many endpoints there are, and what they are asked. */
static void count(const struct snapshot_source *source, struct report_header *header)
{
	header->n_endpoints = (uint32_t)data_plane_count(source->data_plane);
	memcpy(header->operations, source->data_plane->operations, sizeof header->operations);
	if (source->supervisor)
		gate_supervisor_count(source->supervisor, &header->answered);
}

static void describe_standby(const struct data_plane *data_plane, struct report_store *reported)
{
	const struct endpoint *endpoint;

	TAILQ_FOREACH (endpoint, &data_plane->endpoints, entry) {
		if (endpoint->state != ENDPOINT_STANDBY)
			continue;
		reported->n_standby++;
		reported->n_standby_peers += (uint32_t)peers_count(&endpoint->peers);
		if (endpoint->device)
			reported->standby_memory += endpoint->plane->ops->memory(endpoint->device);
	}
}

static int write_header(
	const struct snapshot_source *source, enum report_extent extent, struct evbuffer *out)
{
	const struct data_plane *data_plane = source->data_plane;
	const struct prefix internal = server_config_internal_network(data_plane->config);
	struct report_header header = {
		.version = REPORT_VERSION,
		.n_gates = source->supervisor ? source->n_gates : 0,
		.n_signers = source->signers ? signer_supervisor_count(source->signers) : 0,
		.n_others = source->n_others,
		.extent = extent,
		.pid = (uint32_t)getpid(),
		.is_draining = source->is_draining,
		.whole_block = data_plane->config->whole_block.address,
		.whole_block_length = data_plane->config->whole_block.length,
		.internal = internal.address,
		.internal_length = internal.length,
		.uptime_ms = clock_now_ms(&system_clock) - source->started_ms,
		.started_ms = source->started_wall_ms,
	};

	count(source, &header);
	snprintf(header.release, sizeof header.release, "%s", version_number);
	snprintf(header.plane, sizeof header.plane, "%s", data_plane->plane->ops->name);
	snprintf(header.pin, sizeof header.pin, "%s", source->pin);
	read_host(source->host, &header);
	header.refused[REPORT_REFUSED_SPOOFED] +=
		data_plane->plane->ops->spoofed(data_plane->plane);
	describe_store(source->store, &header.store);
	describe_standby(data_plane, &header.store);
	audit_report(source->audit, &header.audit);
	flow_link_describe(source->flow_link, &header.flows);
	/* In one piece: the memory goes back to the system with the answer. */
	if (evbuffer_expand(out,
		    sizeof header +
			    (header.n_gates + header.n_signers) * sizeof(struct report_process) +
			    header.n_others * sizeof(struct report_other) +
			    header.n_endpoints * sizeof(struct report_endpoint)) < 0)
		return -ENOMEM;
	return append(out, &header, sizeof header);
}

static int write_process(const struct child *child, struct evbuffer *out)
{
	const struct report_process reported = describe_process(child);

	return append(out, &reported, sizeof reported);
}

static int write_processes(const struct snapshot_source *source, struct evbuffer *out)
{
	unsigned int n_gates = source->supervisor ? source->n_gates : 0;
	unsigned int n_signers = source->signers ? signer_supervisor_count(source->signers) : 0;
	int error = 0;

	for (unsigned int i = 0; i < n_gates && error == 0; i++)
		error = write_process(gate_supervisor_get(source->supervisor, i), out);
	for (unsigned int i = 0; i < n_signers && error == 0; i++)
		error = write_process(signer_supervisor_get(source->signers, i), out);
	return error < 0 ? error
			 : append(out, source->others, source->n_others * sizeof *source->others);
}

static int write_endpoint(const struct endpoint *endpoint, bool stays, struct evbuffer *out)
{
	struct report_endpoint reported = {
		.index = endpoint->config.index,
		.bind = endpoint->config.bind,
		.gateway = endpoint->config.gateway,
		.block = endpoint->config.block.address,
		.block_length = endpoint->config.block.length,
		.public_key = endpoint->public_key,
		.port = endpoint->config.port,
		.is_kept = stays,
		.is_lost = !endpoint->device,
		.pool_capacity = pool_capacity(endpoint->pool),
		.pool_taken = pool_taken(endpoint->pool),
		.n_wireguard = endpoint->peers.n_wireguard,
		.n_ipip = endpoint->peers.n_ipip,
		.received = endpoint->received,
		.sent = endpoint->sent,
		.age_ms = clock_now_ms(endpoint->clock) - endpoint->read_ms,
		.clock_behind_s = endpoint->floor.behind_s,
	};
	const uint64_t *drops = NULL;

	if (endpoint->device)
		drops = endpoint->plane->ops->drops(endpoint->device);
	if (drops) {
		reported.has_drops = 1;
		memcpy(reported.drops, drops, sizeof reported.drops);
	}
	memcpy(reported.counts, endpoint->counts, sizeof reported.counts);
	snprintf(reported.interface, sizeof reported.interface, "%s",
		plane_device_name(endpoint->config.index).s);
	return append(out, &reported, sizeof reported);
}

static void refresh(struct data_plane *data_plane)
{
	struct endpoint *endpoint;

	data_plane_for_each(data_plane, endpoint)
		usage_refresh(endpoint, REFRESH_PERIOD_MS, READING_MS);
}

int snapshot_write(
	const struct snapshot_source *source, enum report_extent extent, struct evbuffer *out)
{
	struct data_plane *data_plane = source->data_plane;
	const struct endpoint *endpoint;
	int error;

	if (extent == REPORT_ALL)
		refresh(data_plane);
	error = write_header(source, extent, out);
	if (error == 0)
		error = write_processes(source, out);
	data_plane_for_each(data_plane, endpoint) if (error == 0) error =
		write_endpoint(endpoint, endpoint->keep || data_plane->config->keep_on_exit, out);
	return error;
}
