/* Prints a report of the server as metrics, in Prometheus's text format. Runs in the process that
 * serves them, and in that of `vprox show`. */
#include "metrics/exposition.h"

#include <inttypes.h>
#include <string.h>

#include "ipc/report.h"

enum {
	MS_PER_S = 1000,
	US_PER_S = 1000 * 1000,
};

static void describe(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void print_number(FILE *out, const char *name, const char *help, uint64_t value)
{
	describe(out, name, "gauge", help);
	fprintf(out, "%s %" PRIu64 "\n", name, value);
}

static void print_counter(FILE *out, const char *name, const char *help, uint64_t value)
{
	describe(out, name, "counter", help);
	fprintf(out, "%s %" PRIu64 "\n", name, value);
}

static void print_answered(FILE *out, int answered)
{
	describe(out, "vprox_broker_up", "gauge",
		"Whether the server's broker has answered; if not, nothing else is told.");
	fprintf(out, "vprox_broker_up %d\n", answered);
}

/* Endpoints */

static void print_of_endpoints(const struct report *report, FILE *out, const char *name,
	const char *type, const char *help, uint64_t (*value)(const struct report_endpoint *))
{
	describe(out, name, type, help);
	for (uint32_t i = 0; i < report->header.n_endpoints; i++)
		fprintf(out, "%s{endpoint=\"%s\"} %" PRIu64 "\n", name,
			ipv4_text(report->endpoints[i].bind).s, value(&report->endpoints[i]));
}

static uint64_t capacity_of(const struct report_endpoint *endpoint)
{
	return endpoint->pool_capacity;
}

static uint64_t taken_of(const struct report_endpoint *endpoint)
{
	return endpoint->pool_taken;
}

static uint64_t received_of(const struct report_endpoint *endpoint)
{
	return endpoint->received;
}

static uint64_t sent_of(const struct report_endpoint *endpoint)
{
	return endpoint->sent;
}

static uint64_t clock_behind_of(const struct report_endpoint *endpoint)
{
	return endpoint->clock_behind_s;
}

static uint64_t is_there(const struct report_endpoint *endpoint)
{
	return !endpoint->is_lost;
}

static void print_peers(const struct report *report, FILE *out)
{
	describe(out, "vprox_peers", "gauge", "Clients that have a tunnel.");
	for (uint32_t i = 0; i < report->header.n_endpoints; i++) {
		const struct report_endpoint *endpoint = &report->endpoints[i];
		struct ipv4_text address = ipv4_text(endpoint->bind);

		fprintf(out, "vprox_peers{endpoint=\"%s\",kind=\"wireguard\"} %" PRIu32 "\n",
			address.s, endpoint->n_wireguard);
		fprintf(out, "vprox_peers{endpoint=\"%s\",kind=\"ipip\"} %" PRIu32 "\n", address.s,
			endpoint->n_ipip);
	}
}

/* What has happened at the endpoints: REPORT_COUNTS */

static const struct family {
	const char *name, *label, *help; /* label: NULL where there is one count alone */
} families[REPORT_N_FAMILIES] = {
	[REPORT_GRANTS] = {"vprox_grants_total", "kind",
		"Tunnels that clients were given: new ones, and again to who had it already."},
	[REPORT_ADOPTED] = {"vprox_adopted_peers_total", NULL,
		"Clients whose tunnels an earlier server had left, and this one has taken over."},
	[REPORT_ORPHANS] = {"vprox_orphaned_peers_total", NULL,
		"Tunnels that were found at a start and could not stay."},
	[REPORT_RESTORED] = {"vprox_restored_peers_total", "from",
		"Tunnels that had gone and were made again: by the store, or by the server's own "
		"memory when a device was lost."},
	[REPORT_MOVED] = {"vprox_moved_peers_total", NULL,
		"How often a WireGuard client was found at another outer address than before."},
	[REPORT_REMOVALS] = {"vprox_removals_total", "reason", "Clients that were removed."},
	[REPORT_DEVICES_LOST] = {"vprox_device_losses_total", NULL,
		"How often the endpoint's interface had vanished and was made again."},
};

#define FAMILY_OF(name, family, label) [REPORT_COUNTED_##name] = {REPORT_##family, label},
static const struct {
	enum report_family family;
	const char *label;
} counts[REPORT_N_COUNTS] = {REPORT_COUNTS(FAMILY_OF)};
#undef FAMILY_OF

static void print_count(const struct report_endpoint *endpoint, const struct family *family,
	unsigned int count, FILE *out)
{
	fprintf(out, "%s{endpoint=\"%s\"", family->name, ipv4_text(endpoint->bind).s);
	if (family->label)
		fprintf(out, ",%s=\"%s\"", family->label, counts[count].label);
	fprintf(out, "} %" PRIu64 "\n", endpoint->counts[count]);
}

static void print_counts(const struct report *report, FILE *out)
{
	for (unsigned int i = 0; i < REPORT_N_FAMILIES; i++) {
		describe(out, families[i].name, "counter", families[i].help);
		for (uint32_t e = 0; e < report->header.n_endpoints; e++)
			for (unsigned int count = 0; count < REPORT_N_COUNTS; count++)
				if (counts[count].family == i)
					print_count(
						&report->endpoints[e], &families[i], count, out);
	}
}

/* Requests, and the data plane */

static void print_requests(const struct gate_counts *answered, FILE *out)
{
	describe(out, "vprox_requests_total", "counter",
		"Requests that were answered, by path and status.");
	for (int path = 0; path < GATE_N_PATHS; path++)
		for (int status = 0; status < GATE_N_STATUSES; status++)
			if (answered->answers[path][status] > 0)
				fprintf(out,
					"vprox_requests_total{path=\"%s\",status=\"%u\"} %" PRIu64
					"\n",
					gate_path_names[path], gate_statuses[status],
					answered->answers[path][status]);
	describe(out, "vprox_refusals_total", "counter",
		"Requests and connections that were refused.");
	for (int refusal = 0; refusal < GATE_N_REFUSALS; refusal++)
		fprintf(out, "vprox_refusals_total{reason=\"%s\"} %" PRIu64 "\n",
			gate_refusal_names[refusal], answered->refusals[refusal]);
}

/* Prometheus counts those that took at most so long, the shorter ones among them. */
static void print_histogram(FILE *out, const char *name, const char *label, const char *value,
	const struct histogram *histogram)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < HISTOGRAM_N_BOUNDS; i++) {
		n += histogram->counts[i];
		fprintf(out, "%s_bucket{%s=\"%s\",le=\"%g\"} %" PRIu64 "\n", name, label, value,
			(double)histogram_bounds_us[i] / US_PER_S, n);
	}
	n += histogram->counts[HISTOGRAM_N_BOUNDS];
	fprintf(out, "%s_bucket{%s=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name, label, value, n);
	fprintf(out, "%s_sum{%s=\"%s\"} %.6f\n", name, label, value,
		(double)histogram->sum_us / US_PER_S);
	fprintf(out, "%s_count{%s=\"%s\"} %" PRIu64 "\n", name, label, value, n);
}

static void print_durations(const struct report_header *header, FILE *out)
{
	static const char *const operations[REPORT_N_OPERATIONS] = {
		[REPORT_OF_ADD] = "add",
		[REPORT_OF_ADD_MANY] = "add_many",
		[REPORT_OF_REMOVE] = "remove",
		[REPORT_OF_READ] = "read",
	};

	describe(out, "vprox_request_duration_seconds", "histogram",
		"From a client's connection to its answer, without the pause before a wrong "
		"password's.");
	for (int path = 0; path < GATE_N_PATHS; path++)
		print_histogram(out, "vprox_request_duration_seconds", "path",
			gate_path_names[path], &header->answered.durations[path]);
	describe(out, "vprox_plane_operation_duration_seconds", "histogram",
		"How long the data plane takes for what the broker asks of it.");
	for (int operation = 0; operation < REPORT_N_OPERATIONS; operation++)
		print_histogram(out, "vprox_plane_operation_duration_seconds", "operation",
			operations[operation], &header->operations[operation]);
}

/* Processes */

/* One series a process of a kind, "gate" or "signer". */
static void print_of_processes(FILE *out, const char *name, const char *kind,
	const struct report_process *processes, uint32_t n,
	uint32_t (*value)(const struct report_process *))
{
	for (uint32_t i = 0; i < n; i++)
		fprintf(out, "%s{%s=\"%" PRIu32 "\"} %" PRIu32 "\n", name, kind,
			processes[i].number, value(&processes[i]));
}

static uint32_t is_up(const struct report_process *process)
{
	return process->is_ready != 0;
}

static uint32_t restarts_of(const struct report_process *process)
{
	return process->n_restarts;
}

static void print_gates(const struct report *report, FILE *out)
{
	const uint32_t n = report->header.n_gates;

	describe(out, "vprox_gate_up", "gauge", "Whether the gate serves.");
	print_of_processes(out, "vprox_gate_up", "gate", report->gates, n, is_up);
	describe(out, "vprox_gate_restarts_total", "counter", "How often the gate was replaced.");
	print_of_processes(out, "vprox_gate_restarts_total", "gate", report->gates, n, restarts_of);
}

static void print_signers(const struct report *report, FILE *out)
{
	const uint32_t n = report->header.n_signers;

	describe(out, "vprox_signer_up", "gauge", "Whether the signer serves.");
	print_of_processes(out, "vprox_signer_up", "signer", report->signers, n, is_up);
	describe(out, "vprox_signer_restarts_total", "counter",
		"How often the signer was replaced.");
	print_of_processes(
		out, "vprox_signer_restarts_total", "signer", report->signers, n, restarts_of);
}

typedef uint32_t process_value_fn(const struct report_process *process);

static void print_process(FILE *out, const char *name, const char *kind,
	const struct report_process *process, process_value_fn *value)
{
	fprintf(out, "%s{process=\"%s\",number=\"%" PRIu32 "\"} %" PRIu32 "\n", name, kind,
		process->number, value(process));
}

/* Only the embedded data plane has a process, one an endpoint. */
static void print_devices(
	const struct report *report, FILE *out, const char *name, process_value_fn *value)
{
	if (strcmp(report->header.plane, "embedded") != 0)
		return;
	for (uint32_t i = 0; i < report->header.n_endpoints; i++) {
		const struct report_endpoint *endpoint = &report->endpoints[i];
		const struct report_process device = {
			.number = endpoint->index,
			.is_ready = !endpoint->is_lost,
			.n_restarts = (uint32_t)endpoint->counts[REPORT_COUNTED_DEVICE_LOST],
		};

		print_process(out, name, "device", &device, value);
	}
}

static void print_every_process(
	const struct report *report, FILE *out, const char *name, process_value_fn *value)
{
	const struct report_header *header = &report->header;

	for (uint32_t i = 0; i < header->n_gates; i++)
		print_process(out, name, "gate", &report->gates[i], value);
	for (uint32_t i = 0; i < header->n_signers; i++)
		print_process(out, name, "signer", &report->signers[i], value);
	if (header->store.is_there)
		print_process(out, name, "store", &header->store.process, value);
	for (uint32_t i = 0; i < header->n_others; i++)
		print_process(out, name, report->others[i].name, &report->others[i].process, value);
	print_devices(report, out, name, value);
}

static void print_all_processes(const struct report *report, FILE *out)
{
	describe(out, "vprox_process_up", "gauge", "Whether the process serves.");
	print_every_process(report, out, "vprox_process_up", is_up);
	describe(out, "vprox_process_restarts_total", "counter",
		"How often the process was replaced.");
	print_every_process(report, out, "vprox_process_restarts_total", restarts_of);
}

static void print_store(const struct report_store *store, FILE *out)
{
	if (!store->is_there)
		return;
	print_number(
		out, "vprox_store_up", "Whether the store serves.", store->process.is_ready != 0);
	print_number(
		out, "vprox_store_behind", "Changes that are not stored yet.", store->n_behind);
	describe(out, "vprox_store_lag_seconds", "gauge",
		"How long the oldest change that is not stored yet has waited.");
	fprintf(out, "vprox_store_lag_seconds %.3f\n", (double)store->lag_ms / MS_PER_S);
	print_counter(out, "vprox_store_restarts_total", "How often the store was replaced.",
		store->process.n_restarts);
	print_counter(out, "vprox_store_refused_total",
		"Changes that the store's file did not take, of this process of it.",
		store->n_refused);
	print_number(out, "vprox_store_clock_ahead_seconds",
		"How far the clock is ahead of the fleet's, if by more than a minute.",
		store->clock_ahead_s);
	if (store->n_addresses > 0)
		print_number(out, "vprox_store_second_key_addresses",
			"Addresses with records that only the second fleet key opens.",
			store->n_need_second_key);
}

static void print_processes(const struct report *report, FILE *out)
{
	print_gates(report, out);
	print_signers(report, out);
	print_store(&report->header.store, out);
	print_all_processes(report, out);
}

/* Packets */

static void print_firewall(const struct report_header *header, FILE *out)
{
	print_number(out, "vprox_tracked_connections",
		"Connections that the kernel tracks, of the host and all tunnels.",
		header->n_tracked);
	print_number(out, "vprox_tracked_connections_max", "How many it can track.",
		header->max_tracked);
	print_number(out, "vprox_tracked_connections_full",
		"Whether tunnels begin none, because too many are tracked.", header->is_full);
	print_counter(out, "vprox_clashed_connections_total",
		"First packets of connections that were dropped, as no port was free for them.",
		header->n_clashes);
	describe(out, "vprox_refused_packets_total", "counter",
		"Packets that the firewall has refused, by reason.");
	for (size_t i = 0; i < REPORT_N_REFUSALS; i++)
		fprintf(out, "vprox_refused_packets_total{reason=\"%s\"} %" PRIu64 "\n",
			report_refusal_names[i], header->refused[i]);
}

static void print_device_drops(const struct report *report, FILE *out)
{
	describe(out, "vprox_device_dropped_packets_total", "counter",
		"Packets that the embedded device has dropped, by reason.");
	for (uint32_t i = 0; i < report->header.n_endpoints; i++)
		for (unsigned int drop = 0; drop < DEVICE_N_DROPS && report->endpoints[i].has_drops;
			drop++)
			fprintf(out,
				"vprox_device_dropped_packets_total{endpoint=\"%s\","
				"reason=\"%s\"} %" PRIu64 "\n",
				ipv4_text(report->endpoints[i].bind).s, device_drop_names[drop],
				report->endpoints[i].drops[drop]);
}

static void print_server(const struct report_header *header, FILE *out)
{
	describe(out, "vprox_info", "gauge", "The server that runs.");
	fprintf(out, "vprox_info{version=\"%s\",plane=\"%s\"} 1\n", header->release, header->plane);
	describe(out, "vprox_uptime_seconds", "gauge", "Since the server was started.");
	fprintf(out, "vprox_uptime_seconds %.3f\n", (double)header->uptime_ms / MS_PER_S);
	describe(out, "process_start_time_seconds", "gauge",
		"When the server was started, in seconds since 1970.");
	fprintf(out, "process_start_time_seconds %.3f\n", (double)header->started_ms / MS_PER_S);
}

static void print_endpoints(const struct report *report, FILE *out)
{
	print_of_endpoints(report, out, "vprox_endpoint_up", "gauge",
		"Whether the endpoint's interface is there.", is_there);
	print_of_endpoints(report, out, "vprox_pool_addresses", "gauge",
		"Inner addresses that clients can have.", capacity_of);
	print_of_endpoints(report, out, "vprox_pool_addresses_taken", "gauge",
		"Inner addresses that clients have.", taken_of);
	print_peers(report, out);
	print_of_endpoints(report, out, "vprox_received_bytes_total", "counter",
		"Bytes from clients since the server was started.", received_of);
	print_of_endpoints(report, out, "vprox_sent_bytes_total", "counter",
		"Bytes to clients since the server was started.", sent_of);
	print_of_endpoints(report, out, "vprox_clock_behind_seconds", "gauge",
		"The clock, behind the latest handshakes that were begun with the endpoint's key.",
		clock_behind_of);
	print_counts(report, out);
}

/* Records */

static void print_records(const struct report_header *header, FILE *out)
{
	if (header->audit.is_there)
		print_counter(out, "vprox_audit_lost_total",
			"Lines of the audit that could not be written.", header->audit.n_lost);
	if (!header->flows.is_there)
		return;
	print_counter(out, "vprox_flow_log_flows_total", "Flows that were written to the flow log.",
		header->flows.n_written);
	describe(out, "vprox_flow_log_lost_total", "counter",
		"Flows that were not: since they ended faster than they were read, or since the "
		"file did not take them.");
	fprintf(out, "vprox_flow_log_lost_total{reason=\"rate\"} %" PRIu64 "\n",
		header->flows.n_unheard);
	fprintf(out, "vprox_flow_log_lost_total{reason=\"file\"} %" PRIu64 "\n",
		header->flows.n_unwritten);
}

void exposition_print(const struct report *report, FILE *out)
{
	print_answered(out, 1);
	print_server(&report->header, out);
	print_processes(report, out);
	print_endpoints(report, out);
	print_requests(&report->header.answered, out);
	print_durations(&report->header, out);
	print_firewall(&report->header, out);
	print_device_drops(report, out);
	print_records(&report->header, out);
}

void exposition_print_unanswered(FILE *out)
{
	print_answered(out, 0);
}
