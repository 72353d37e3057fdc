/* What a request does. */
#pragma once

struct endpoint;
struct client_request;
struct reply_to;

/* Carries out a request and answers it, now or when its batch of removals is done. */
void endpoint_handle(struct endpoint *endpoint, const struct client_request *request,
	const struct reply_to *reply_to);
