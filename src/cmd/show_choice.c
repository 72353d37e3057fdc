/* Leaves in a report of the server only what `vprox show` was asked for, and puts it into order.
 * Runs in the process of `vprox show`. */
#include <fnmatch.h>
#include <stdlib.h>

#include "cmd/show_report.h"
#include "ipc/report.h"

static bool has_name(
	const struct report *report, const struct report_peer *peer, const char *pattern)
{
	const char *name = report_peer_name(report, peer);

	return *name && fnmatch(pattern, name, 0) == 0;
}

static bool is_chosen(const struct report *report, const struct report_peer *peer,
	const struct report_choice *choice)
{
	if (choice->of_endpoint &&
		!ipv4_equal(report->endpoints[peer->endpoint].bind, choice->endpoint))
		return false;
	if (choice->of_address && !ipv4_equal(peer->inner, choice->address) &&
		!ipv4_equal(peer->outer, choice->address))
		return false;
	if (choice->name && !has_name(report, peer, choice->name))
		return false;
	return !choice->of_key ||
	       (peer->kind == REPORT_WIREGUARD && key_equal(&peer->key, &choice->key));
}

static int compare_peers(const void *a, const void *b)
{
	const struct report_peer *left = a, *right = b;

	if (left->endpoint != right->endpoint)
		return left->endpoint < right->endpoint ? -1 : 1;
	if (left->inner.value != right->inner.value)
		return left->inner.value < right->inner.value ? -1 : 1;
	return 0;
}

/* Leaves out the endpoints that are not wanted, and their numbers. */
static void choose_endpoints(struct report *report, const struct report_choice *choice)
{
	uint32_t kept = 0, peer = 0;

	for (uint32_t i = 0; i < report->header.n_endpoints; i++) {
		bool has_peer = false,
		     wanted = !choice->of_endpoint ||
			      ipv4_equal(report->endpoints[i].bind, choice->endpoint);

		for (; peer < report->header.n_peers && report->peers[peer].endpoint == i; peer++) {
			report->peers[peer].endpoint = kept;
			has_peer = true;
		}
		if (has_peer || (wanted && !choice->of_address && !choice->of_key && !choice->name))
			report->endpoints[kept++] = report->endpoints[i];
	}
	report->header.n_endpoints = kept;
}

bool report_choose(struct report *report, const struct report_choice *choice)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < report->header.n_peers; i++)
		if (is_chosen(report, &report->peers[i], choice))
			report->peers[kept++] = report->peers[i];
	report->header.n_peers = kept;
	if (kept > 0)
		qsort(report->peers, kept, sizeof *report->peers, compare_peers);
	choose_endpoints(report, choice);
	/* A server that serves no address has nothing, and that is all there is. */
	return report->header.n_endpoints > 0 ||
	       (!choice->of_endpoint && !choice->of_address && !choice->of_key && !choice->name);
}
