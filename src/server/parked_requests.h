/*
 * Requests that can be decided on only once it is read again what peers have used: with tens of
 * thousands of them that takes a while, in which others are served. All that wait share a reading.
 * No more than IPC_OUTSTANDING_MAX of each gate can.
 */
#pragma once

#include "server/endpoint.h"

/* It is read, as well as could be. The same request is not to be parked again. */
typedef void parked_request_fn(struct endpoint *endpoint, const struct client_request *request,
	const struct reply_to *reply_to);

void parked_requests_init(struct parked_requests *parked, struct endpoint *endpoint);
/* Nobody is answered. */
void parked_requests_free(struct parked_requests *parked);

/* Has it handled after a reading, which may be at once. Returns 0 or -ENOMEM. */
int parked_requests_add(struct parked_requests *parked, const struct client_request *request,
	const struct reply_to *reply_to, parked_request_fn *handle);

/* Refuses them all. */
void parked_requests_refuse(struct parked_requests *parked, enum ipc_status status);
