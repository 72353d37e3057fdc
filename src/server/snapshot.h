/* The whole server at one moment, written as ipc/report.h has it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/report.h"

struct child;
struct data_plane;
struct evbuffer;
struct gate_supervisor;
struct host;
struct signer_supervisor;
struct store_link;

enum { SNAPSHOT_MAX_OTHERS = 8 };

struct snapshot_process {
	const char *name;
	const struct child *child;
};

struct snapshot_source {
	struct data_plane *data_plane; /* with its endpoints open */
	const struct gate_supervisor *supervisor; /* NULL: no gates yet */
	const struct signer_supervisor *signers; /* NULL: no signers yet */
	const struct store_link *store; /* NULL: nothing is stored */
	unsigned int n_gates;
	const struct host *host; /* NULL: what the firewall does is left out */
	const char *pin; /* of the TLS public key */
	uint64_t started_ms; /* by the system's clock */
	uint64_t started_wall_ms; /* since 1970, by the clock as it was then */
	bool is_draining;
	/* Processes that there is one of each, by name; those that are not there are NULL. */
	struct snapshot_process others[SNAPSHOT_MAX_OTHERS];
};

/*
 * Appends the answer. For REPORT_ALL, reads the peers' usage from the plane before, where that was
 * not done just now: so much of it that it takes a small share of the broker's time, however often
 * it is asked for. Returns 0 or -ENOMEM.
 */
int snapshot_write(
	const struct snapshot_source *source, enum report_extent extent, struct evbuffer *out);
