/* What a request does. */
#pragma once

struct endpoint;
struct client_request;
struct reply_to;

/* Carries out a request and answers it: now, when its batch of removals is done, or, where all
 * addresses that are left are just being freed, when one is. */
void endpoint_handle(struct endpoint *endpoint, const struct client_request *request,
	const struct reply_to *reply_to);

/* Addresses have come free: answers those who wait for one. */
void endpoint_serve_pending(struct endpoint *endpoint);
