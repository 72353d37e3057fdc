/* Prints a report of the server for people. Runs in the process of `vprox show`. */
#include <inttypes.h>

#include "cmd/show_report.h"
#include "cmd/show_table.h"
#include "cmd/terminal_text.h"
#include "cmd/units.h"
#include "ipc/report.h"

/* Something that is not as it should be. */
static void print_fault(const struct text_style *style, const char *text, FILE *out)
{
	fprintf(out, "%s%s%s", text_colour(style, TEXT_RED), text, text_colour(style, TEXT_PLAIN));
}

static void print_processes(const char *what, const struct report_process *processes, uint32_t n,
	const struct text_style *style, FILE *out)
{
	unsigned int n_restarts = 0;

	fprintf(out, "  %s:", what);
	for (uint32_t i = 0; i < n; i++) {
		const struct report_process *process = &processes[i];

		n_restarts += process->n_restarts;
		if (process->pid == 0)
			print_fault(style, " (dead)", out);
		else
			fprintf(out, " %" PRIu32 "%s", process->pid,
				process->is_ready ? "" : " (starting)");
	}
	if (n_restarts > 0)
		fprintf(out, ", replaced %u times", n_restarts);
	fputc('\n', out);
}

static void print_store(const struct report_store *store, const struct text_style *style, FILE *out)
{
	if (!store->is_there)
		return;
	print_processes("store", &store->process, 1, style, out);
	if (store->n_behind > 0)
		fprintf(out, "    %" PRIu32 "%s changes are not stored yet%s\n", store->n_behind,
			text_colour(style, TEXT_RED), text_colour(style, TEXT_PLAIN));
	if (store->n_refused > 0)
		fprintf(out, "    %s%" PRIu64 " changes were not taken: see the log%s\n",
			text_colour(style, TEXT_RED), store->n_refused,
			text_colour(style, TEXT_PLAIN));
	if (store->clock_ahead_s > 0)
		fprintf(out, "    %sclock: %s ahead of the fleet's%s\n",
			text_colour(style, TEXT_RED), unit_span(store->clock_ahead_s * 1000).s,
			text_colour(style, TEXT_PLAIN));
	if (store->n_standby > 0)
		fprintf(out,
			"    standby: ready for %" PRIu32 " addresses with %" PRIu32
			" peers, %s in their devices\n",
			store->n_standby, store->n_standby_peers,
			unit_bytes(store->standby_memory).s);
	if (store->n_need_second_key > 0)
		fprintf(out,
			"    second fleet key: needed by %" PRIu32 " of %" PRIu32
			" addresses, such as %s\n",
			store->n_need_second_key, store->n_addresses,
			ipv4_text(store->needs_second_key).s);
	else if (store->n_addresses > 0)
		fprintf(out, "    second fleet key: not needed\n");
}

static void print_firewall(
	const struct report_header *header, const struct text_style *style, FILE *out)
{
	const char *before = "  refused packets: ";

	if (header->max_tracked > 0) {
		fprintf(out, "  connections: %" PRIu32 " of %" PRIu32 " tracked", header->n_tracked,
			header->max_tracked);
		print_fault(style, header->is_full ? ", so tunnels begin no new ones" : "", out);
		fputc('\n', out);
	}
	for (size_t i = 0; i < REPORT_N_REFUSALS; i++) {
		if (header->refused[i] == 0)
			continue;
		fprintf(out, "%s%" PRIu64 " %s", before, header->refused[i],
			report_refusal_names[i]);
		before = ", ";
	}
	fputs(before[0] == ',' ? "\n" : "", out);
}

static void print_lost(uint64_t n, const char *what, const struct text_style *style, FILE *out)
{
	fprintf(out, "%s%" PRIu64 " %s%s", text_colour(style, TEXT_RED), n, what,
		text_colour(style, TEXT_PLAIN));
}

/* An audit of which nothing is lost goes without saying. */
static void print_records(
	const struct report_header *header, const struct text_style *style, FILE *out)
{
	const struct report_flows *flows = &header->flows;
	const uint64_t n_lost = flows->n_unheard + flows->n_unwritten;

	if (header->audit.n_lost > 0) {
		fputs("  audit: ", out);
		print_lost(header->audit.n_lost, "lines lost", style, out);
		print_fault(style, header->audit.is_failing ? " (cannot be written)" : "", out);
		fputc('\n', out);
	}
	if (!flows->is_there)
		return;
	fprintf(out, "  flow log: %" PRIu64 " flows", flows->n_written);
	if (n_lost > 0) {
		fputs(", ", out);
		print_lost(n_lost, "lost", style, out);
	}
	print_fault(style, flows->is_failing ? " (cannot be written)" : "", out);
	fputc('\n', out);
}

static void print_server(const struct report *report, const struct text_style *style, FILE *out)
{
	const struct report_header *header = &report->header;

	fprintf(out, "vprox %s: process %" PRIu32 ", up %s, %s data plane%s\n", header->release,
		header->pid, unit_span(header->uptime_ms).s, header->plane,
		header->is_draining ? ", stopping" : "");
	fprintf(out, "  TLS public key: %s\n", header->pin);
	print_processes("gates", report->gates, header->n_gates, style, out);
	print_processes(header->n_signers == 1 ? "signer" : "signers", report->signers,
		header->n_signers, style, out);
	print_store(&header->store, style, out);
	print_firewall(header, style, out);
	print_records(header, style, out);
}

static void print_endpoint(const struct report_endpoint *endpoint, const struct report_peer *peers,
	size_t n, const struct text_style *style, FILE *out)
{
	const struct prefix block = {endpoint->block, (uint8_t)endpoint->block_length};
	uint64_t received = 0, sent = 0;
	size_t n_wireguard = 0;

	for (size_t i = 0; i < n; i++) {
		received += peers[i].received_rate;
		sent += peers[i].sent_rate;
		n_wireguard += peers[i].kind == REPORT_WIREGUARD;
	}
	fprintf(out, "\n%sendpoint: %s%s%s", text_colour(style, TEXT_BOLD),
		ipv4_text(endpoint->bind).s, text_colour(style, TEXT_PLAIN),
		endpoint->is_kept ? " (its tunnels stay when the server stops)" : "");
	print_fault(style, endpoint->is_lost ? " (its interface has vanished)" : "", out);
	fputc('\n', out);
	fprintf(out, "  interface: %s, address %s/%u\n", endpoint->interface,
		ipv4_text(endpoint->gateway).s, block.length);
	fprintf(out, "  public key: %s\n", key_text(&endpoint->public_key).s);
	fprintf(out, "  listening port: %" PRIu32 "\n", endpoint->port);
	if (endpoint->clock_behind_s > 0)
		fprintf(out, "  clock: %s behind the latest handshakes\n",
			unit_span(endpoint->clock_behind_s * 1000).s);
	fprintf(out, "  pool: %s, %" PRIu32 " of %" PRIu32 " addresses taken\n",
		prefix_text(block).s, endpoint->pool_taken, endpoint->pool_capacity);
	fprintf(out, "  peers: %zu WireGuard, %zu IPIP\n", n_wireguard, n - n_wireguard);
	fprintf(out, "  transfer: %s received, %s sent; %s and %s, as of %s ago\n",
		unit_bytes(endpoint->received).s, unit_bytes(endpoint->sent).s,
		unit_rate(received).s, unit_rate(sent).s, unit_span(endpoint->age_ms).s);
}

void report_print_text(
	const struct report *report, uint64_t now_s, const struct text_style *style, FILE *out)
{
	const struct report_peer *peers = report->peers;
	size_t left = report->header.n_peers;

	print_server(report, style, out);
	for (uint32_t i = 0; i < report->header.n_endpoints; i++) {
		size_t n = 0;

		while (n < left && peers[n].endpoint == i)
			n++;
		print_endpoint(&report->endpoints[i], peers, n, style, out);
		show_table(report, peers, n, now_s, style, out);
		peers += n;
		left -= n;
	}
}
