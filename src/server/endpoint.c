/*
 * How an endpoint is called in the log, and how often; how long the data plane takes. What is done
 * to one is in the files above this: heal, removals, usage, adoption, inspection, requests. Runs in
 * the broker.
 */
#include "server/endpoint.h"

#include <stdio.h>

enum {
	/* Of the pool, in percent: until so much is used, nobody's peers are counted. */
	NEARLY_USED_UP = 80,
};

struct endpoint_text endpoint_text(const struct endpoint *endpoint)
{
	struct endpoint_text text;

	snprintf(text.s, sizeof text.s, "endpoint %s", ipv4_text(endpoint->config.bind).s);
	return text;
}

size_t endpoints_count_peers(const struct endpoint_list *endpoints)
{
	const struct endpoint *endpoint;
	size_t n = 0;

	TAILQ_FOREACH (endpoint, endpoints, entry)
		if (endpoint->state != ENDPOINT_DESCRIBED)
			n += peers_count(&endpoint->peers);
	return n;
}

bool endpoint_is_nearly_used_up(const struct endpoint *endpoint)
{
	return (uint64_t)pool_taken(endpoint->pool) * 100 >=
	       (uint64_t)pool_capacity(endpoint->pool) * NEARLY_USED_UP;
}

uint32_t endpoint_share(const struct endpoint *endpoint)
{
	return endpoint->max_peers_per_source > 0 ? endpoint->max_peers_per_source
						  : (pool_capacity(endpoint->pool) + 1) / 2;
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
