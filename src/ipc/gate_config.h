/*
 * A gate's configuration, from the broker: a file in memory (memfd), sealed, that the gate
 * reads once. In it are this header, n_endpoints struct gate_endpoint, and the certificate chain
 * in PEM, end to end. The private key is the signer's alone (ipc/signing.h).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/resolvers.h"
#include "ipc/gate_endpoint.h"
#include "ipc/live_settings.h"
#include "ipc/source_counts.h"

enum {
	GATE_CONFIG_VERSION = 7,
	GATE_CONFIG_MAX_SIZE = 1 << 20,
	GATE_MAX_ENDPOINTS = 1024,
	GATE_MAX_GATES = 256,

	/* The file descriptors a gate starts with, besides 0 to 2. */
	GATE_FD_BROKER = 3, /* SOCK_SEQPACKET: ipc/message.h */
	GATE_FD_CONFIG = 4, /* this */
	GATE_FD_FIRST_LISTENER = 5, /* n_endpoints listening TCP sockets, in the endpoints' order */
	/* After these: its sheet of ipc/source_counts.h, and n_gates - 1 of the others; then that
	 * of ipc/gate_counts.h; and where has_issuers that of ipc/issuer_sheet.h. */
};

struct gate_config {
	uint32_t version; /* GATE_CONFIG_VERSION */
	uint32_t n_endpoints; /* at its start: IPC_ENDPOINT brings more, up to the next */
	uint32_t max_endpoints;
	uint32_t n_gates; /* of the server */
	uint32_t user; /* uid and gid to run as; the broker's own where it has no right to change
			  them */
	uint32_t group;
	uint32_t max_connections; /* of this gate */
	uint32_t gate_number; /* from 0, for the log */
	uint32_t certificate_length;
	uint32_t has_issuers; /* 1: whose tokens are good */
	struct resolvers announced; /* --announce-dns */
	struct live_settings live; /* at its start: IPC_LIVE_SETTINGS brings others */
	struct source_counts_seed seed;
};

/* A gate's configuration, decoded. The text ends in a NUL that its length does not count. */
struct gate_settings {
	struct gate_config config;
	struct gate_endpoint *endpoints;
	char *certificate;
};

/* Makes the sealed memfd. Returns it (close-on-exec) or -errno. */
int gate_config_write(const struct gate_settings *settings);

/* Reads and checks it. Returns 0 or -errno; -EPROTO if it is malformed. To be freed with
 * gate_settings_free(). */
int gate_config_read(int fd, struct gate_settings *settings);

/* Wipes the digests and frees. */
void gate_settings_free(struct gate_settings *settings);
