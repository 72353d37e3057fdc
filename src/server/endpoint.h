/*
 * An endpoint: one bind address, its block of inner addresses, its device in the data plane and the
 * peers that have a tunnel through it. Requests are handled here, whatever kind of peer they are
 * from.
 */
#pragma once

#include <stdbool.h>

#include "base/clock.h"
#include "ipc/message.h"
#include "plane/plane.h"
#include "server/peers.h"
#include "server/pool.h"
#include "server/removals.h"

/* Whom an answer goes to: one request of one life of one gate. */
struct reply_to {
	unsigned int gate;
	uint64_t generation; /* of the gate: a replaced one's requests have nobody to answer */
	uint64_t id;
};

/* The address matters with IPC_OK to a connect only. */
typedef void endpoint_answer_fn(
	void *context, const struct reply_to *to, enum ipc_status status, struct ipv4 address);

struct endpoint {
	struct plane_endpoint config;
	struct key public_key;
	bool keep; /* was relinquished: stays when the server goes */

	struct plane *plane;
	struct plane_device *device; /* NULL: not open, or lost and not made again yet */
	struct pool *pool;
	struct peers peers;
	struct removals removals;
	uint64_t look; /* number of the last look at the plane */
	uint64_t looked_ms; /* when the last look that succeeded began; adoption is the first */
	uint64_t look_took_ms;
	uint64_t received, sent; /* bytes that looks have seen move, of peers that are gone too */

	const struct clock *clock;
	endpoint_answer_fn *answer;
	void *answer_context;
};

/*
 * Opens the endpoint's device and reads back who holds which address. config, public_key, plane,
 * clock and answer must be set. base may be NULL in a test, which then flushes the removals itself.
 * Logs what goes wrong. Returns 0 or -errno; to be closed with endpoint_close() in either case.
 */
int endpoint_open(struct endpoint *endpoint, struct event_base *base);

/* keep: the data plane stays as it is. Returns what the plane's close() does; frees all but the
 * struct. */
int endpoint_close(struct endpoint *endpoint, bool keep);

/*
 * When the device has vanished under the server (`ip link del vprox0`, a device process that died):
 * makes it again and gives it all its peers back. Logs. Returns 0 or -errno; then the next call
 * tries again.
 */
int endpoint_heal(struct endpoint *endpoint);

/* Carries out a request and answers it, now or when its batch of removals is done. */
void endpoint_handle(struct endpoint *endpoint, const struct ipc_request *request,
	const struct reply_to *reply_to);

/* "endpoint <bind address>", for the log. */
struct endpoint_text {
	char s[sizeof "endpoint " + sizeof(struct ipv4_text)];
};
struct endpoint_text endpoint_text(const struct endpoint *endpoint);
