/* Prints the clients of an endpoint as a table that fits the terminal. Runs in the process of
 * `vprox show`. */
#include "cmd/show_table.h"

#include <stdbool.h>
#include <string.h>

#include "cmd/terminal_text.h"
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
	COLUMN_NAME,
	N_COLUMNS,
	CELL_SIZE = CLIENT_NAME_SIZE,
	GAP = 2, /* before each column */
};

#define TOTALS (1 << COLUMN_RECEIVED | 1 << COLUMN_SENT | 1 << COLUMN_NAME)

/* What to print, from the widest to the narrowest: the first that there is room for. Traffic and
 * who it is of stay longest: for these the table is watched. */
static const struct layout {
	unsigned int left_out; /* bits of columns */
	bool is_short; /* "WG", and numbers as "1.2M" */
	size_t key_end; /* characters at each end of a key; 0: all of it */
} layouts[] = {
	{0, false, 0},
	{0, false, 6},
	{0, true, 6},
	{TOTALS, true, 6},
	{TOTALS | 1 << COLUMN_HANDSHAKE, true, 4},
	{TOTALS | 1 << COLUMN_HANDSHAKE | 1 << COLUMN_KIND, true, 4},
	{TOTALS | 1 << COLUMN_HANDSHAKE | 1 << COLUMN_KIND | 1 << COLUMN_OUTER, true, 4},
	{TOTALS | 1 << COLUMN_HANDSHAKE | 1 << COLUMN_KIND | 1 << COLUMN_OUTER | 1 << COLUMN_KEY,
		true, 4},
};

enum { N_LAYOUTS = sizeof layouts / sizeof *layouts };

static const char *const headings[N_COLUMNS] = {"inner address", "kind", "outer address",
	"handshake", "active", "received", "sent", "receiving", "sending", "public key", "name"};
static const char *const short_headings[N_COLUMNS] = {
	[COLUMN_INNER] = "inner",
	[COLUMN_OUTER] = "outer",
	[COLUMN_RECEIVED] = "recv",
	[COLUMN_RECEIVED_RATE] = "recv/s",
	[COLUMN_SENT_RATE] = "sent/s",
	[COLUMN_KEY] = "key",
};

struct row {
	char cells[N_COLUMNS][CELL_SIZE];
};

static void write_cell(struct row *row, enum column column, const char *text)
{
	snprintf(row->cells[column], CELL_SIZE, "%s", text);
}

static struct row heading_of(const struct layout *layout)
{
	struct row row;

	for (size_t i = 0; i < N_COLUMNS; i++)
		write_cell(&row, (enum column)i,
			layout->is_short && short_headings[i] ? short_headings[i] : headings[i]);
	return row;
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

static void write_traffic(
	struct row *row, const struct report_peer *peer, const struct layout *layout)
{
	struct unit_text (*const bytes)(uint64_t) = layout->is_short ? unit_short : unit_bytes;
	struct unit_text (*const rate)(uint64_t) = layout->is_short ? unit_short : unit_rate;

	write_cell(row, COLUMN_RECEIVED, bytes(peer->received).s);
	write_cell(row, COLUMN_SENT, bytes(peer->sent).s);
	write_cell(row, COLUMN_RECEIVED_RATE, rate(peer->received_rate).s);
	write_cell(row, COLUMN_SENT_RATE, rate(peer->sent_rate).s);
}

static void write_key(struct row *row, const struct report_peer *peer, const struct layout *layout)
{
	const struct key_text key = key_text(&peer->key);
	const size_t end = layout->key_end;

	if (peer->kind != REPORT_WIREGUARD)
		write_cell(row, COLUMN_KEY, "-");
	else if (end == 0)
		write_cell(row, COLUMN_KEY, key.s);
	else
		snprintf(row->cells[COLUMN_KEY], CELL_SIZE, "%.*s...%s", (int)end, key.s,
			key.s + strlen(key.s) - end);
}

static const char *kind_of(const struct report_peer *peer, const struct layout *layout)
{
	if (peer->kind != REPORT_WIREGUARD)
		return "IPIP";
	return layout->is_short ? "WG" : "WireGuard";
}

static struct row row_of(const struct report *report, const struct report_peer *peer,
	uint64_t now_s, const struct layout *layout)
{
	const char *name = report_peer_name(report, peer);
	struct row row;

	write_cell(&row, COLUMN_INNER, ipv4_text(peer->inner).s);
	write_cell(&row, COLUMN_KIND, kind_of(peer, layout));
	write_cell(&row, COLUMN_OUTER, peer->outer.value ? ipv4_text(peer->outer).s : "-");
	write_handshake(&row, peer, now_s);
	write_cell(&row, COLUMN_ACTIVE, unit_span(peer->idle_ms).s);
	write_traffic(&row, peer, layout);
	write_key(&row, peer, layout);
	write_cell(&row, COLUMN_NAME, *name ? name : "-");
	return row;
}

static void widen(const struct row *row, size_t widths[N_COLUMNS])
{
	for (size_t i = 0; i < N_COLUMNS; i++)
		if (strlen(row->cells[i]) > widths[i])
			widths[i] = strlen(row->cells[i]);
}

/* Where no client has a name there is no column for it. */
static bool is_shown(const struct report *report, const struct layout *layout, enum column column)
{
	return !(layout->left_out & 1U << column) &&
	       (column != COLUMN_NAME || report->header.n_names > 0);
}

static enum column last_column(const struct report *report, const struct layout *layout)
{
	return is_shown(report, layout, COLUMN_NAME) ? COLUMN_NAME : COLUMN_KEY;
}

/* Returns how wide the table becomes. */
static size_t measure(const struct report *report, const struct report_peer *peers, size_t n,
	uint64_t now_s, const struct layout *layout, size_t widths[N_COLUMNS])
{
	struct row row = heading_of(layout);
	size_t sum = 0;

	memset(widths, 0, N_COLUMNS * sizeof *widths);
	widen(&row, widths);
	for (size_t i = 0; i < n; i++) {
		row = row_of(report, &peers[i], now_s, layout);
		widen(&row, widths);
	}
	for (size_t i = 0; i < N_COLUMNS; i++)
		if (is_shown(report, layout, (enum column)i))
			sum += GAP + widths[i];
	return sum;
}

static void print_row(const struct report *report, const struct row *row,
	const struct layout *layout, const size_t widths[N_COLUMNS], FILE *out)
{
	for (size_t i = 0; i < N_COLUMNS; i++) {
		int width = (int)widths[i];

		if (!is_shown(report, layout, (enum column)i))
			continue;
		if (i == last_column(report, layout))
			fprintf(out, "%*s%s", GAP, "", row->cells[i]);
		else
			fprintf(out, "%*s%*s", GAP, "",
				i >= COLUMN_HANDSHAKE && i < COLUMN_KEY ? width : -width,
				row->cells[i]);
	}
}

void show_table(const struct report *report, const struct report_peer *peers, size_t n,
	uint64_t now_s, const struct text_style *style, FILE *out)
{
	const struct layout *layout = layouts;
	size_t widths[N_COLUMNS];
	struct row row;

	if (n == 0)
		return;
	while (measure(report, peers, n, now_s, layout, widths) > style->columns &&
		style->columns > 0 && layout + 1 < layouts + N_LAYOUTS)
		layout++;
	row = heading_of(layout);
	fprintf(out, "\n%s", text_colour(style, TEXT_BOLD));
	print_row(report, &row, layout, widths, out);
	fprintf(out, "%s\n", text_colour(style, TEXT_PLAIN));
	for (size_t i = 0; i < n; i++) {
		row = row_of(report, &peers[i], now_s, layout);
		print_row(report, &row, layout, widths, out);
		fputc('\n', out);
	}
}
