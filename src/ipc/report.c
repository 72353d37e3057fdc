/* Checks and splits the broker's report. Runs in `vprox show`, `vprox check`
 * and the process that serves metrics. */
#include "ipc/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct report_header) ==
		       18 * 4 + (3 + REPORT_N_REFUSALS) * 8 + sizeof(struct report_store) +
			       sizeof(struct report_audit) + sizeof(struct report_flows) +
			       sizeof(struct gate_counts) +
			       REPORT_N_OPERATIONS * sizeof(struct histogram) +
			       2 * REPORT_TEXT_SIZE + REPORT_NAME_SIZE + REPORT_DIGEST_SIZE,
	"no padding");
_Static_assert(
	sizeof(struct report_store) == 8 * 4 + 4 * 8 + sizeof(struct report_process), "no padding");
_Static_assert(sizeof(struct report_audit) == 2 * 4 + 8, "no padding");
_Static_assert(sizeof(struct report_flows) == 2 * 4 + 3 * 8, "no padding");
_Static_assert(sizeof(struct report_other) == REPORT_NAME_SIZE + sizeof(struct report_process),
	"no padding");
_Static_assert(sizeof(struct report_process) == 4 * 4 + 8, "no padding");
_Static_assert(sizeof(struct report_endpoint) == REPORT_NAME_SIZE + 14 * 4 + KEY_SIZE +
							 (4 + REPORT_N_COUNTS + DEVICE_N_DROPS) * 8,
	"no padding");
_Static_assert(sizeof(struct report_peer) == 6 * 4 + KEY_SIZE + 7 * 8, "no padding");

const char *const report_refusal_names[REPORT_N_REFUSALS] = {"destination", "host", "protocol",
	"error", "rate", "flows", "full", "ipv6", "spoofed", "peers", "unasked", "unknown"};

static bool is_text(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

/* Copies n items off the front of what is left. */
static int parse_items(
	const uint8_t **data, size_t *length, size_t n, size_t item_size, void **items)
{
	if (n > *length / item_size)
		return -EPROTO;
	*items = calloc(n + 1, item_size);
	if (!*items)
		return -ENOMEM;
	memcpy(*items, *data, n * item_size);
	*data += n * item_size;
	*length -= n * item_size;
	return 0;
}

static int parse_header(const uint8_t **data, size_t *length, struct report_header *header)
{
	if (*length < sizeof header->version)
		return -EPROTO;
	memcpy(&header->version, *data, sizeof header->version);
	if (header->version != REPORT_VERSION)
		return -EPROTONOSUPPORT;
	if (*length < sizeof *header)
		return -EPROTO;
	memcpy(header, *data, sizeof *header);
	*data += sizeof *header;
	*length -= sizeof *header;
	if (header->n_gates > REPORT_MAX_GATES || header->n_signers > REPORT_MAX_GATES ||
		header->n_others > REPORT_MAX_OTHERS ||
		header->n_endpoints > REPORT_MAX_ENDPOINTS || header->n_peers > 0 ||
		header->n_names > 0)
		return -EPROTO;
	if (header->whole_block_length > 32 || header->internal_length > 32)
		return -EPROTO;
	if (!is_text(header->release, sizeof header->release) ||
		!is_text(header->plane, sizeof header->plane) ||
		!is_text(header->pin, sizeof header->pin))
		return -EPROTO;
	return 0;
}

/* The next piece and what is in it; both lie there unaligned. */
struct piece {
	struct report_piece n;
	const uint8_t *names, *peers;
};

static int parse_piece(const uint8_t **data, size_t *length, struct piece *piece)
{
	const uint8_t *begin = *data + sizeof piece->n;
	uint64_t names_size, size;

	if (*length < sizeof piece->n)
		return -EPROTO;
	memcpy(&piece->n, *data, sizeof piece->n);
	names_size = (uint64_t)piece->n.n_names * sizeof(struct client_name);
	size = sizeof piece->n + names_size +
	       (uint64_t)piece->n.n_peers * sizeof(struct report_peer);
	if (piece->n.n_names > piece->n.n_peers || size > *length)
		return -EPROTO;
	piece->names = begin;
	piece->peers = begin + names_size;
	*data += size;
	*length -= size;
	return 0;
}

/* The last piece, which is empty, is the end of the answer. */
static int count_pieces(const uint8_t *data, size_t length, struct report_header *header)
{
	struct piece piece;
	int error;

	do {
		error = parse_piece(&data, &length, &piece);
		if (error == 0 && piece.n.n_peers > REPORT_MAX_PEERS - header->n_peers)
			error = -EPROTO;
		if (error == 0) {
			header->n_peers += piece.n.n_peers;
			header->n_names += piece.n.n_names;
		}
	} while (error == 0 && piece.n.n_peers > 0);
	return error == 0 && length > 0 ? -EPROTO : error;
}

/* Names are numbered by piece. */
static int copy_piece(const struct piece *piece, struct client_name *names,
	struct report_peer *peers, uint32_t n_names_before)
{
	memcpy(names, piece->names, piece->n.n_names * sizeof *names);
	memcpy(peers, piece->peers, piece->n.n_peers * sizeof *peers);
	for (uint32_t i = 0; i < piece->n.n_peers; i++) {
		if (peers[i].name > piece->n.n_names)
			return -EPROTO;
		if (peers[i].name > 0)
			peers[i].name += n_names_before;
	}
	return 0;
}

static int parse_peers(const uint8_t *data, size_t length, struct report *report)
{
	struct report_header *header = &report->header;
	uint32_t n_names = 0, n_peers = 0;
	struct piece piece;
	int error = count_pieces(data, length, header);

	if (error < 0)
		return error;
	report->names = calloc(header->n_names + 1, sizeof *report->names);
	report->peers = calloc(header->n_peers + 1, sizeof *report->peers);
	if (!report->names || !report->peers)
		return -ENOMEM;
	while (error == 0 && n_peers < header->n_peers) {
		error = parse_piece(&data, &length, &piece);
		if (error == 0)
			error = copy_piece(
				&piece, report->names + n_names, report->peers + n_peers, n_names);
		n_names += piece.n.n_names;
		n_peers += piece.n.n_peers;
	}
	return error;
}

static int check_items(const struct report *report)
{
	for (uint32_t i = 0; i < report->header.n_others; i++)
		if (!is_text(report->others[i].name, REPORT_NAME_SIZE))
			return -EPROTO;
	for (uint32_t i = 0; i < report->header.n_endpoints; i++)
		if (!is_text(report->endpoints[i].interface, REPORT_NAME_SIZE) ||
			report->endpoints[i].block_length > 32)
			return -EPROTO;
	for (uint32_t i = 0; i < report->header.n_peers; i++) {
		const struct report_peer *peer = &report->peers[i];

		if (peer->endpoint >= report->header.n_endpoints || peer->kind == 0 ||
			peer->kind >= REPORT_KIND_END)
			return -EPROTO;
	}
	for (uint32_t i = 0; i < report->header.n_names; i++)
		if (!client_name_is_valid(&report->names[i]))
			return -EPROTO;
	return 0;
}

int report_decode(const void *answer, size_t length, struct report *report)
{
	const struct report_header *header = &report->header;
	const uint8_t *data = answer;
	void *gates = NULL, *signers = NULL, *others = NULL, *endpoints = NULL;
	int error;

	*report = (struct report){0};
	error = parse_header(&data, &length, &report->header);
	if (error == 0)
		error = parse_items(&data, &length, header->n_gates, sizeof *report->gates, &gates);
	if (error == 0)
		error = parse_items(
			&data, &length, header->n_signers, sizeof *report->signers, &signers);
	if (error == 0)
		error = parse_items(
			&data, &length, header->n_others, sizeof *report->others, &others);
	if (error == 0)
		error = parse_items(
			&data, &length, header->n_endpoints, sizeof *report->endpoints, &endpoints);
	report->gates = gates;
	report->signers = signers;
	report->others = others;
	report->endpoints = endpoints;
	if (error == 0 && header->extent == REPORT_ALL)
		error = parse_peers(data, length, report);
	else if (error == 0 && length > 0)
		error = -EPROTO;
	if (error == 0)
		error = check_items(report);
	if (error < 0)
		report_free(report);
	return error;
}

void report_free(struct report *report)
{
	free(report->gates);
	free(report->signers);
	free(report->others);
	free(report->endpoints);
	free(report->names);
	free(report->peers);
	report->gates = NULL;
	report->signers = NULL;
	report->others = NULL;
	report->endpoints = NULL;
	report->names = NULL;
	report->peers = NULL;
}

const char *report_peer_name(const struct report *report, const struct report_peer *peer)
{
	return peer->name > 0 ? report->names[peer->name - 1].s : "";
}
