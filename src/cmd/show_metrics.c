/* Prints a report of the server as metrics, in Prometheus's text format. Runs in the process of
 * `vprox show`. */
#include <inttypes.h>

#include "cmd/show_report.h"
#include "ipc/report.h"

static void describe(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* One series an endpoint of what there is once in each. */
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
	uint32_t peer = 0;

	describe(out, "vprox_peers", "gauge", "Clients that have a tunnel.");
	for (uint32_t i = 0; i < report->header.n_endpoints; i++) {
		struct ipv4_text address = ipv4_text(report->endpoints[i].bind);
		unsigned int n[REPORT_KIND_END] = {0};

		for (; peer < report->header.n_peers && report->peers[peer].endpoint == i; peer++)
			n[report->peers[peer].kind]++;
		fprintf(out, "vprox_peers{endpoint=\"%s\",kind=\"wireguard\"} %u\n", address.s,
			n[REPORT_WIREGUARD]);
		fprintf(out, "vprox_peers{endpoint=\"%s\",kind=\"ipip\"} %u\n", address.s,
			n[REPORT_IPIP]);
	}
}

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

static void print_number(FILE *out, const char *name, const char *help, uint32_t value)
{
	describe(out, name, "gauge", help);
	fprintf(out, "%s %" PRIu32 "\n", name, value);
}

static void print_store(const struct report_store *store, FILE *out)
{
	if (!store->is_there)
		return;
	print_number(
		out, "vprox_store_up", "Whether the store serves.", store->process.is_ready != 0);
	print_number(
		out, "vprox_store_behind", "Changes that are not stored yet.", store->n_behind);
	describe(out, "vprox_store_restarts_total", "counter", "How often the store was replaced.");
	fprintf(out, "vprox_store_restarts_total %" PRIu32 "\n", store->process.n_restarts);
	describe(out, "vprox_store_refused_total", "counter",
		"Changes that the store's file did not take, of this process of it.");
	fprintf(out, "vprox_store_refused_total %" PRIu64 "\n", store->n_refused);
	describe(out, "vprox_store_clock_ahead_seconds", "gauge",
		"How far the clock is ahead of the fleet's, if by more than a minute.");
	fprintf(out, "vprox_store_clock_ahead_seconds %" PRIu64 "\n", store->clock_ahead_s);
	if (store->n_addresses > 0)
		print_number(out, "vprox_store_second_key_addresses",
			"Addresses with records that only the second fleet key opens.",
			store->n_need_second_key);
}

static void print_firewall(const struct report_header *header, FILE *out)
{
	print_number(out, "vprox_tracked_connections",
		"Connections that the kernel tracks, of the host and all tunnels.",
		header->n_tracked);
	print_number(out, "vprox_tracked_connections_max", "How many it can track.",
		header->max_tracked);
	print_number(out, "vprox_tracked_connections_full",
		"Whether tunnels begin none, because too many are tracked.", header->is_full);
	describe(out, "vprox_refused_packets_total", "counter",
		"Packets out of tunnels that the firewall has refused.");
	for (size_t i = 0; i < REPORT_N_REFUSALS; i++)
		fprintf(out, "vprox_refused_packets_total{reason=\"%s\"} %" PRIu64 "\n",
			report_refusal_names[i], header->refused[i]);
}

void report_print_metrics(const struct report *report, FILE *out)
{
	describe(out, "vprox_info", "gauge", "The server that runs.");
	fprintf(out, "vprox_info{version=\"%s\",plane=\"%s\"} 1\n", report->header.release,
		report->header.plane);
	describe(out, "vprox_uptime_seconds", "gauge", "Since the server was started.");
	fprintf(out, "vprox_uptime_seconds %.3f\n", (double)report->header.uptime_ms / 1000);
	print_gates(report, out);
	print_signers(report, out);
	print_store(&report->header.store, out);
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
	print_firewall(&report->header, out);
}
