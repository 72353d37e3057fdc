/*
 * Ending tunnels of clients by order of the operator, over the control socket (ipc/report.h): a
 * struct report_request of the extent REPORT_DISCONNECT, then a struct disconnect_order. The answer
 * is struct disconnect_state, again while it is done, and the last of them says that it is.
 */
#pragma once

#include <stdint.h>

#include "base/ipv4.h"
#include "base/key.h"
#include "ipc/client_name.h"

/* By what the clients are chosen. */
enum disconnect_kind {
	DISCONNECT_ADDRESS = 1, /* inner or outer */
	DISCONNECT_KEY,
	DISCONNECT_NAME,
	DISCONNECT_KIND_END,
};

/* What is not of its kind is zero. */
struct disconnect_order {
	uint32_t kind; /* enum disconnect_kind */
	struct ipv4 address;
	struct key key;
	struct client_name name;
};

struct disconnect_state {
	uint32_t version; /* REPORT_VERSION */
	uint32_t is_done;
	uint32_t n_found, n_gone, n_failed; /* clients */
};

/* Asks the server that listens there, and waits until it is done. Returns 0 or what report_ask()
 * does. */
int disconnect_ask(
	const char *path, const struct disconnect_order *order, struct disconnect_state *state);
