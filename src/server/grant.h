/* What a client that may connect gets: an address, and the tunnel for it. */
#pragma once

#include <stdint.h>

#include "base/ipv4.h"
#include "ipc/message.h"

struct client_request;
struct endpoint;
struct peer;
struct plane_peer;

enum {
	/* All addresses that are left are just being freed: to be tried again when one is. */
	GRANT_WAITS = 0,
};

/* What a client gets, and the store's sequence number of it, after which it is told. */
struct granted {
	struct ipv4 address;
	uint64_t sequence;
};

/*
 * Gives a client that has no peer here an address and makes its tunnel; id->inner is filled in. On
 * failure it holds no address, unless the data plane may have made it. Logs. Returns an ipc_status,
 * after IPC_OK with *granted, or GRANT_WAITS.
 */
int grant_new(struct endpoint *endpoint, struct plane_peer *id,
	const struct client_request *request, struct granted *granted);

/*
 * Makes the tunnel of a peer that is there again, where it is to be; it keeps its address. On
 * failure the peer may be gone. Logs. Returns an ipc_status, and *granted after IPC_OK.
 */
enum ipc_status grant_again(struct endpoint *endpoint, struct peer *peer,
	const struct client_request *request, struct granted *granted);
