/*
 * How an endpoint is called in the log. What is done to one is in the files above this: heal,
 * removals, usage, adoption, inspection, requests. Runs in the broker.
 */
#include "server/endpoint.h"

#include <stdio.h>

struct endpoint_text endpoint_text(const struct endpoint *endpoint)
{
	struct endpoint_text text;

	snprintf(text.s, sizeof text.s, "endpoint %s", ipv4_text(endpoint->config.bind).s);
	return text;
}
