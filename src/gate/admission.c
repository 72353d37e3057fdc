/* Lets connections in and has them go: limits, eviction, draining. Runs in the gate's one thread.
 */
#include "gate/admission.h"

#include <unistd.h>

#include "base/log.h"
#include "gate/connection.h"
#include "gate/refusal_report.h"
#include "ipc/gate_counts.h"

bool admission_evict(struct connection_set *set)
{
	struct connection *oldest = TAILQ_FIRST(&set->answered);

	if (!oldest)
		oldest = TAILQ_FIRST(&set->unanswered);
	if (oldest)
		connection_close(oldest);
	return oldest != NULL;
}

/* Room for one more in all. False if everybody waits for the broker. */
static bool make_room(struct connection_set *set)
{
	struct log_limit_text more;

	if (set->count < set->max)
		return true;
	if (log_limit_allows(&set->crowded, clock_now_ms(set->clock), &more))
		log_info("%u connections: the oldest has to go%s", set->count, more.s);
	return admission_evict(set);
}

/* One too many of its source. */
static void refuse(struct connection_set *set, int fd, const struct client_address *client)
{
	struct log_limit_text more;

	gate_counts_refusal(set->counts, GATE_REFUSED_CONNECTIONS);
	if (connection_set_may_log(set, &set->too_many, client, &more))
		log_info("%s: refused, has %u connections already%s", client_address_text(client).s,
			set->max_per_source, more.s);
	refusal_report_add(set->refusals, client, REFUSAL_CONNECTIONS);
	close(fd);
}

void admission_admit(struct connection_set *set, int fd, const struct client_address *client)
{
	struct source *source = sources_acquire(&set->sources, &client->ip, set->max_per_source);
	struct connection *connection = NULL;

	if (!source)
		return refuse(set, fd, client);
	if (make_room(set))
		connection = connection_new(set, fd, client, source);
	if (connection) {
		connection_set_add(set, connection);
	} else {
		sources_release(&set->sources, source);
		close(fd);
	}
}

void admission_close_idle(struct connection_set *set, bool in_line_too)
{
	struct connection *next;

	for (struct connection *connection = TAILQ_FIRST(&set->unanswered); connection;
		connection = next) {
		next = TAILQ_NEXT(connection, list);
		if (connection_is_idle(connection) &&
			(in_line_too || connection->phase != PHASE_WAITING))
			connection_close(connection);
	}
}

void admission_drain(struct connection_set *set, bool serves)
{
	set->refuses = !serves;
	if (!serves)
		admission_close_idle(set, true);
	set->draining = true;
	if (set->count == 0)
		set->emptied(set->context);
}

void admission_close_all(struct connection_set *set)
{
	struct connection *connection;

	set->draining = false;
	while ((connection = TAILQ_FIRST(&set->asking)))
		connection_close(connection);
	while (admission_evict(set))
		;
}
