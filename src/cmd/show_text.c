/* Prints a report of the server as tables for people. Runs in the process of `vprox show`. */
#include <inttypes.h>
#include <string.h>

#include "cmd/show_report.h"
#include "cmd/units.h"
#include "ipc/report.h"

enum column {
	COLUMN_INNER,
	COLUMN_KIND,
	COLUMN_OUTER,
	COLUMN_HANDSHAKE,
	COLUMN_ACTIVE,
	COLUMN_RECEIVED,
	COLUMN_SENT,
	COLUMN_RECEIVED_RATE,
	COLUMN_SENT_RATE,
	COLUMN_KEY,
	N_COLUMNS,
	CELL_SIZE = 48,
};

static const char *const headings[N_COLUMNS] = {"inner address", "kind", "outer address",
	"handshake", "active", "received", "sent", "receiving", "sending", "public key"};

struct row {
	char cells[N_COLUMNS][CELL_SIZE];
};

static void write_cell(struct row *row, enum column column, const char *text)
{
	snprintf(row->cells[column], CELL_SIZE, "%s", text);
}

static void write_handshake(struct row *row, const struct report_peer *peer, uint64_t now_s)
{
	if (peer->kind == REPORT_IPIP)
		write_cell(row, COLUMN_HANDSHAKE, "-");
	else if (peer->handshake_s == 0)
		write_cell(row, COLUMN_HANDSHAKE, "never");
	else /* the clock may have been set */
		write_cell(row, COLUMN_HANDSHAKE,
			unit_span(
				now_s > peer->handshake_s ? (now_s - peer->handshake_s) * 1000 : 0)
				.s);
}

static struct row row_of(const struct report_peer *peer, uint64_t now_s)
{
	const bool is_wireguard = peer->kind == REPORT_WIREGUARD;
	struct row row;

	write_cell(&row, COLUMN_INNER, ipv4_text(peer->inner).s);
	write_cell(&row, COLUMN_KIND, is_wireguard ? "WireGuard" : "IPIP");
	write_cell(&row, COLUMN_OUTER, peer->outer.value ? ipv4_text(peer->outer).s : "-");
	write_handshake(&row, peer, now_s);
	write_cell(&row, COLUMN_ACTIVE, unit_span(peer->idle_ms).s);
	write_cell(&row, COLUMN_RECEIVED, unit_bytes(peer->received).s);
	write_cell(&row, COLUMN_SENT, unit_bytes(peer->sent).s);
	write_cell(&row, COLUMN_RECEIVED_RATE, unit_rate(peer->received_rate).s);
	write_cell(&row, COLUMN_SENT_RATE, unit_rate(peer->sent_rate).s);
	write_cell(&row, COLUMN_KEY, is_wireguard ? key_text(&peer->key).s : "-");
	return row;
}

static void print_row(const struct row *row, const int widths[N_COLUMNS], FILE *out)
{
	fputs(" ", out);
	for (int i = 0; i < N_COLUMNS; i++)
		if (i + 1 == N_COLUMNS)
			fprintf(out, " %s\n", row->cells[i]);
		else if (i >= COLUMN_HANDSHAKE)
			fprintf(out, " %*s ", widths[i], row->cells[i]);
		else
			fprintf(out, " %-*s ", widths[i], row->cells[i]);
}

static void widen(const struct row *row, int widths[N_COLUMNS])
{
	for (int i = 0; i < N_COLUMNS; i++)
		if ((int)strlen(row->cells[i]) > widths[i])
			widths[i] = (int)strlen(row->cells[i]);
}

static void print_peers(const struct report_peer *peers, size_t n, uint64_t now_s, FILE *out)
{
	int widths[N_COLUMNS] = {0};
	struct row row;

	if (n == 0)
		return;
	for (int i = 0; i < N_COLUMNS; i++)
		write_cell(&row, (enum column)i, headings[i]);
	widen(&row, widths);
	for (size_t i = 0; i < n; i++) {
		const struct row other = row_of(&peers[i], now_s);

		widen(&other, widths);
	}
	fputc('\n', out);
	print_row(&row, widths, out);
	for (size_t i = 0; i < n; i++) {
		row = row_of(&peers[i], now_s);
		print_row(&row, widths, out);
	}
}

static void print_processes(
	const char *what, const struct report_process *processes, uint32_t n, FILE *out)
{
	unsigned int n_restarts = 0;

	fprintf(out, "  %s:", what);
	for (uint32_t i = 0; i < n; i++) {
		const struct report_process *process = &processes[i];

		n_restarts += process->n_restarts;
		if (process->pid == 0)
			fprintf(out, " (dead)");
		else
			fprintf(out, " %" PRIu32 "%s", process->pid,
				process->is_ready ? "" : " (starting)");
	}
	if (n_restarts > 0)
		fprintf(out, ", replaced %u times", n_restarts);
	fputc('\n', out);
}

static void print_store(const struct report_store *store, FILE *out)
{
	if (!store->is_there)
		return;
	print_processes("store", &store->process, 1, out);
	if (store->n_behind > 0)
		fprintf(out, "    %" PRIu32 " changes are not stored yet\n", store->n_behind);
}

static void print_firewall(const struct report_header *header, FILE *out)
{
	const char *before = "  refused packets: ";

	if (header->max_tracked > 0)
		fprintf(out, "  connections: %" PRIu32 " of %" PRIu32 " tracked%s\n",
			header->n_tracked, header->max_tracked,
			header->is_full ? ", so tunnels begin no new ones" : "");
	for (size_t i = 0; i < REPORT_N_REFUSALS; i++) {
		if (header->refused[i] == 0)
			continue;
		fprintf(out, "%s%" PRIu64 " %s", before, header->refused[i],
			report_refusal_names[i]);
		before = ", ";
	}
	fputs(before[0] == ',' ? "\n" : "", out);
}

static void print_server(const struct report *report, FILE *out)
{
	const struct report_header *header = &report->header;

	fprintf(out, "vprox %s: process %" PRIu32 ", up %s, %s data plane%s\n", header->release,
		header->pid, unit_span(header->uptime_ms).s, header->plane,
		header->is_draining ? ", stopping" : "");
	fprintf(out, "  TLS public key: %s\n", header->pin);
	print_processes("gates", report->gates, header->n_gates, out);
	print_processes(header->n_signers == 1 ? "signer" : "signers", report->signers,
		header->n_signers, out);
	print_store(&header->store, out);
	print_firewall(header, out);
}

static void print_endpoint(const struct report_endpoint *endpoint, const struct report_peer *peers,
	size_t n, FILE *out)
{
	const struct prefix block = {endpoint->block, (uint8_t)endpoint->block_length};
	uint64_t received = 0, sent = 0;
	size_t n_wireguard = 0;

	for (size_t i = 0; i < n; i++) {
		received += peers[i].received_rate;
		sent += peers[i].sent_rate;
		n_wireguard += peers[i].kind == REPORT_WIREGUARD;
	}
	fprintf(out, "\nendpoint: %s%s%s\n", ipv4_text(endpoint->bind).s,
		endpoint->is_kept ? " (its tunnels stay when the server stops)" : "",
		endpoint->is_lost ? " (its interface has vanished)" : "");
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

void report_print_text(const struct report *report, uint64_t now_s, FILE *out)
{
	const struct report_peer *peers = report->peers;
	size_t left = report->header.n_peers;

	print_server(report, out);
	for (uint32_t i = 0; i < report->header.n_endpoints; i++) {
		size_t n = 0;

		while (n < left && peers[n].endpoint == i)
			n++;
		print_endpoint(&report->endpoints[i], peers, n, out);
		print_peers(peers, n, now_s, out);
		peers += n;
		left -= n;
	}
}
