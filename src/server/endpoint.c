/*
 * How an endpoint is called in the log, and how often; how long the data plane takes. What is done
 * to one is in the files above this: heal, removals, usage, adoption, inspection, requests. Runs in
 * the broker.
 */
#include "server/endpoint.h"

#include <stdio.h>

struct endpoint_text endpoint_text(const struct endpoint *endpoint)
{
	struct endpoint_text text;

	snprintf(text.s, sizeof text.s, "endpoint %s", ipv4_text(endpoint->config.bind).s);
	return text;
}

bool endpoint_may_log(struct endpoint *endpoint, struct ipv4 source, struct log_limit_text *more)
{
	uint64_t hash = hash_bytes(&endpoint->peers.table, &source, sizeof source);

	return source_log_limit_allows(
		&endpoint->refusals, hash, clock_now_ms(endpoint->clock), more);
}

void endpoint_record_time(
	const struct endpoint *endpoint, enum report_operation operation, uint64_t began_us)
{
	if (endpoint->operations)
		histogram_add(&endpoint->operations[operation], clock_stopwatch_us() - began_us);
}
