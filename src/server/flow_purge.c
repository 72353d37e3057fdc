/*
 * When which addresses' tracked connections are deleted, and when the addresses are free after
 * that. Runs in the broker's event loop; the pass over the kernel's table is a job beside it.
 */
#include "server/flow_purge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/job.h"
#include "base/log.h"
#include "server/address_set.h"
#include "server/endpoint.h"

enum {
	MS_PER_S = 1000,
	SOON_TRIES = 3,
};

const struct flow_purge_times flow_purge_times = {
	.gather = 1000,
	.gather_most = 10 * 1000,
	/* A packet is through the host, or in a queue behind connection tracking, in some ms. */
	.settle = 100,
	.retry_soon = 100,
	.retry = 5 * 1000,
	/* net/netfilter/nf_conntrack_proto_udp.c: a UDP stream that is quiet is forgotten then. */
	.rest = 120 * 1000,
};

enum purge_phase {
	PURGE_IDLE, /* no address waits */
	PURGE_GATHERING, /* some do; others may come */
	PURGE_SETTLING, /* it is said which ones this purge is about */
	PURGE_DELETING, /* the job is running */
	PURGE_RETRYING, /* it has failed, and will be run again */
};

struct flow_purge {
	struct flow_purge_config config;
	enum purge_phase phase;
	struct event *timer; /* of all phases but the first and the job's */
	struct job *job;

	uint64_t gathering_since_ms;
	uint64_t began_ms; /* this purge */
	uint64_t pass_began_ms;
	unsigned int n_failed; /* passes, of this purge */
	bool reported; /* that it does not work, and not yet that it does again */
	struct address_set addresses;
	struct conntrack_result result;
};

/* Those that have tables, and so addresses. What is tracked of one that is ready for another host's
 * address is what that host has told: it is left alone. */
#define for_each_endpoint(purge, endpoint)                                                         \
	TAILQ_FOREACH (endpoint, (purge)->config.endpoints, entry)                                 \
		if ((endpoint)->pool && (endpoint)->state != ENDPOINT_STANDBY)

static uint64_t now_ms(const struct flow_purge *purge)
{
	return clock_now_ms(purge->config.clock);
}

static void wait_in(struct flow_purge *purge, enum purge_phase phase, uint64_t delay_ms)
{
	struct timeval delay = timeval_from_ms(delay_ms);

	purge->phase = phase;
	event_add(purge->timer, &delay);
}

static bool find_address(void *context, struct ipv4 address)
{
	return address_set_find(context, address);
}

/* In the job's thread. */
static int run_pass(void *context)
{
	struct flow_purge *purge = context;

	return purge->config.delete(find_address, &purge->addresses, &purge->result);
}

static void add_address(void *context, struct ipv4 address)
{
	address_set_add(context, address);
}

static bool was_found(void *context, struct ipv4 address)
{
	return address_set_has_found(context, address);
}

/* Whether any pool has addresses that wait for a purge. */
static bool is_needed(const struct flow_purge *purge)
{
	const struct endpoint *endpoint;

	for_each_endpoint(purge, endpoint) if (pool_needs_purge(endpoint->pool)) return true;
	return false;
}

static bool is_awaited(const struct flow_purge *purge)
{
	const struct endpoint *endpoint;

	for_each_endpoint(purge, endpoint) if (endpoint->pending.n > 0) return true;
	return false;
}

static void log_failure(struct flow_purge *purge, int error)
{
	if (purge->reported)
		return;
	purge->reported = true;
	log_warning("cannot delete the tracked connections of freed addresses: %s; such an address "
		    "now rests for %llu s before it is given to another client",
		strerror(-error), (unsigned long long)(purge->config.times->rest / MS_PER_S));
}

static void log_success(struct flow_purge *purge)
{
	if (purge->reported)
		log_info("the tracked connections of freed addresses can be deleted again");
	purge->reported = false;
	log_debug("deleted the tracked connections of freed addresses: %zu of %zu, in %llu ms",
		purge->result.n_deleted, purge->result.n_entries,
		(unsigned long long)(now_ms(purge) - purge->pass_began_ms));
}

static void tell_freed(const struct flow_purge *purge)
{
	struct endpoint *endpoint;

	for_each_endpoint(purge, endpoint) purge->config.freed(purge->config.context, endpoint);
}

/* What was released while this purge went on waits for the next one. */
static void gather_again(struct flow_purge *purge)
{
	purge->phase = PURGE_IDLE;
	if (!is_needed(purge))
		return;
	flow_purge_released(purge);
	if (is_awaited(purge))
		flow_purge_hurry(purge);
}

static void finish(struct flow_purge *purge)
{
	struct endpoint *endpoint;

	if (purge->config.unused)
		purge->config.unused(purge->config.context, &purge->addresses);
	for_each_endpoint(purge, endpoint)
		pool_end_purge(endpoint->pool, was_found, &purge->addresses);
	address_set_free(&purge->addresses);
	tell_freed(purge);
	gather_again(purge);
}

/* Addresses never used are no reason to refuse anybody: nothing says that they have connections. */
static void trust_unused(struct flow_purge *purge)
{
	struct endpoint *endpoint;

	for_each_endpoint(purge, endpoint) pool_trust_unused(endpoint->pool);
	tell_freed(purge);
}

static void handle_failure(struct flow_purge *purge, int error)
{
	const struct flow_purge_times *times = purge->config.times;

	if (++purge->n_failed <= SOON_TRIES) {
		wait_in(purge, PURGE_RETRYING, times->retry_soon);
		return;
	}
	log_failure(purge, error);
	trust_unused(purge);
	if (now_ms(purge) - purge->began_ms >= times->rest)
		finish(purge);
	else
		wait_in(purge, PURGE_RETRYING, times->retry);
}

static void on_pass_ended(void *context, int error)
{
	struct flow_purge *purge = context;

	if (error < 0) {
		handle_failure(purge, error);
		return;
	}
	log_success(purge);
	finish(purge);
}

static void start_pass(struct flow_purge *purge)
{
	int error = job_start(purge->job);

	purge->phase = PURGE_DELETING;
	purge->pass_began_ms = now_ms(purge);
	if (error < 0)
		handle_failure(purge, error);
}

/* Says which addresses it is about. */
static int begin(struct flow_purge *purge)
{
	int error = address_set_init(&purge->addresses, purge->config.block);
	struct endpoint *endpoint;

	if (error < 0)
		return error;
	for_each_endpoint(purge, endpoint)
		pool_begin_purge(endpoint->pool, add_address, &purge->addresses);
	purge->n_failed = 0;
	purge->began_ms = now_ms(purge);
	return 0;
}

static void log_no_memory(struct flow_purge *purge)
{
	if (purge->reported)
		return;
	purge->reported = true;
	log_error("cannot delete the tracked connections of freed addresses: out of memory; they "
		  "are given to no other client until there is some, for which the server looks by "
		  "itself");
}

static void begin_and_settle(struct flow_purge *purge)
{
	if (begin(purge) == 0) {
		wait_in(purge, PURGE_SETTLING, purge->config.times->settle);
		return;
	}
	log_no_memory(purge);
	wait_in(purge, PURGE_GATHERING, purge->config.times->retry);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	struct flow_purge *purge = context;

	(void)fd;
	(void)what;
	if (purge->phase == PURGE_GATHERING)
		begin_and_settle(purge);
	else
		start_pass(purge);
}

void flow_purge_released(struct flow_purge *purge)
{
	uint64_t end_ms, now;

	if (!purge || (purge->phase != PURGE_IDLE && purge->phase != PURGE_GATHERING))
		return;
	now = now_ms(purge);
	if (purge->phase == PURGE_IDLE)
		purge->gathering_since_ms = now;
	end_ms = purge->gathering_since_ms + purge->config.times->gather_most;
	if (now + purge->config.times->gather < end_ms)
		wait_in(purge, PURGE_GATHERING, purge->config.times->gather);
}

void flow_purge_hurry(struct flow_purge *purge)
{
	if (purge && purge->phase == PURGE_GATHERING)
		begin_and_settle(purge);
}

void flow_purge_opened(struct flow_purge *purge, struct endpoint *endpoint)
{
	endpoint->flow_purge = purge;
	if (!purge)
		return;
	pool_doubt_unused(endpoint->pool);
	flow_purge_released(purge);
}

bool flow_purge_works(const struct flow_purge *purge)
{
	return !purge || !purge->reported;
}

static int start(struct event_base *base, struct flow_purge *purge)
{
	struct endpoint *endpoint;
	int error;

	purge->timer = evtimer_new(base, on_timer, purge);
	if (!purge->timer)
		return -ENOMEM;
	error = job_new(base, run_pass, on_pass_ended, purge, &purge->job);
	if (error < 0)
		return error;
	for_each_endpoint(purge, endpoint) pool_doubt_unused(endpoint->pool);
	error = begin(purge);
	/* Adoption has removed what cannot be right, a moment ago. */
	if (error == 0)
		wait_in(purge, PURGE_SETTLING, purge->config.times->settle);
	return error;
}

int flow_purge_new(
	struct event_base *base, const struct flow_purge_config *config, struct flow_purge **result)
{
	struct flow_purge *purge = calloc(1, sizeof *purge);
	int error = -ENOMEM;

	if (purge) {
		purge->config = *config;
		error = start(base, purge);
	}
	if (error < 0) {
		flow_purge_free(purge);
		return error;
	}
	*result = purge;
	return 0;
}

void flow_purge_free(struct flow_purge *purge)
{
	if (!purge)
		return;
	job_free(purge->job);
	free_event(purge->timer);
	address_set_free(&purge->addresses);
	free(purge);
}
