/* The whole server at one moment, written as ipc/report.h has it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/report.h"

struct audit;
struct child;
struct data_plane;
struct evbuffer;
struct flow_link;
struct gate_supervisor;
struct host;
struct signer_supervisor;
struct store_link;

enum { SNAPSHOT_MAX_OTHERS = 24 };

struct snapshot_source {
	struct data_plane *data_plane; /* with its endpoints open */
	const struct gate_supervisor *supervisor; /* NULL: no gates yet */
	const struct signer_supervisor *signers; /* NULL: no signers yet */
	const struct store_link *store; /* NULL: nothing is stored */
	unsigned int n_gates;
	const struct host *host; /* NULL: what the firewall does is left out */
	const struct audit *audit; /* NULL: there is none */
	const struct flow_link *flow_link; /* likewise */
	const char *pin; /* of the TLS public key */
	uint64_t started_ms; /* by the system's clock */
	uint64_t started_wall_ms; /* since 1970, by the clock as it was then */
	bool is_draining;
	/* Processes beside gates, signers and store: snapshot_add() */
	struct report_other others[SNAPSHOT_MAX_OTHERS];
	uint32_t n_others;
};

/* One more process, of this kind: "metrics" and so on. child NULL: it is not there, and nothing is
 * added. */
void snapshot_add(struct snapshot_source *source, const char *kind, const struct child *child);
/* Likewise, of one that is no child. */
void snapshot_add_process(
	struct snapshot_source *source, const char *kind, struct report_process process);

/*
 * Appends the answer, but for the peers: peer_listing.h. For REPORT_ALL, reads the peers' usage
 * from the plane before, where that was not done just now: so much of it that it takes a small
 * share of the broker's time, however often it is asked for. Returns 0 or -ENOMEM.
 */
int snapshot_write(
	const struct snapshot_source *source, enum report_extent extent, struct evbuffer *out);
