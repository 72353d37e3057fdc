/* The whole server at one moment, written as ipc/report.h has it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct data_plane;
struct evbuffer;
struct gate_supervisor;
struct host;
struct signer_supervisor;
struct store_link;

struct snapshot_source {
	struct data_plane *data_plane; /* with its endpoints open */
	const struct gate_supervisor *supervisor; /* NULL: no gates yet */
	const struct signer_supervisor *signers; /* NULL: no signers yet */
	const struct store_link *store; /* NULL: nothing is stored */
	unsigned int n_gates;
	const struct host *host; /* NULL: what the firewall does is left out */
	const char *pin; /* of the TLS public key */
	uint64_t started_ms; /* by the system's clock */
	bool is_draining;
};

/*
 * Appends the answer. Reads the peers' usage from the plane before, where that was not done just
 * now: so much of it that it takes a small share of the broker's time, however often it is asked
 * for. Returns 0 or -ENOMEM.
 */
int snapshot_write(const struct snapshot_source *source, struct evbuffer *out);
