/* The book-keeping of a gate's connections: lists and counts, no input and no output. Runs in the
 * gate's one thread. */
#include "gate/connection_set.h"

#include <malloc.h>

#include "base/event.h"
#include "ipc/gate_counts.h"

enum {
	STORM = 32, /* connections at once, after which memory is given back at once */
	CROWD = 4, /* after which it is given back when nobody has been there for a while */
	QUIET_MS = 1000, /* for so long; else each crowd would pay for it */
};

static struct connection_list *list_of(struct connection_set *set, enum connection_phase phase)
{
	switch (phase) {
	case PHASE_ASKING:
		return &set->asking;
	case PHASE_PAUSING:
	case PHASE_ANSWERING:
	case PHASE_LINGERING:
		return &set->answered;
	default:
		return &set->unanswered;
	}
}

/* Whether a client in this phase has no answer yet. */
static bool is_waiting(enum connection_phase phase)
{
	return phase < PHASE_PAUSING;
}

static void give_memory_back(struct connection_set *set)
{
	malloc_trim(0);
	set->peak = set->count;
}

static void on_quiet(evutil_socket_t fd, short what, void *context)
{
	struct connection_set *set = context;

	(void)fd;
	(void)what;
	if (set->count == 0)
		give_memory_back(set);
}

int connection_set_init(struct connection_set *set)
{
	set->draining = set->refuses = false;
	set->count = set->peak = 0;
	set->crowded = set->late = (struct log_limit){0};
	set->too_many = set->unauthorized = (struct source_log_limit){0};
	TAILQ_INIT(&set->unanswered);
	TAILQ_INIT(&set->asking);
	TAILQ_INIT(&set->answered);
	evtimer_assign(&set->quiet, set->base, on_quiet, set);
	int error = handshake_queue_init(&set->handshakes, set->base, set->clock, set->max);

	return error < 0 ? error : sources_init(&set->sources);
}

bool connection_set_may_log(const struct connection_set *set, struct source_log_limit *limit,
	const struct client_address *client, struct log_limit_text *more)
{
	return source_log_limit_allows(limit,
		hash_bytes(&set->sources.table, &client->ip, sizeof client->ip),
		clock_now_ms(set->clock), more);
}

void connection_set_free(struct connection_set *set)
{
	event_del(&set->quiet);
	handshake_queue_free(&set->handshakes);
	sources_free(&set->sources);
}

void connection_set_add(struct connection_set *set, struct connection *connection)
{
	TAILQ_INSERT_TAIL(list_of(set, connection->phase), connection, list);
	set->count++;
	if (is_waiting(connection->phase))
		gate_counts_wait(set->counts, true);
	if (set->peak < set->count)
		set->peak = set->count;
}

void connection_set_enter(struct connection *connection, enum connection_phase phase)
{
	struct connection_list *from = list_of(connection->set, connection->phase);
	struct connection_list *to = list_of(connection->set, phase);

	if (is_waiting(connection->phase) && !is_waiting(phase))
		gate_counts_wait(connection->set->counts, false);
	connection->phase = phase;
	if (from == to)
		return;
	TAILQ_REMOVE(from, connection, list);
	TAILQ_INSERT_TAIL(to, connection, list);
}

/* What connections had goes back to the system: a gate is to be small, and there are several. */
static void consider_memory(struct connection_set *set)
{
	const struct timeval quiet = timeval_from_ms(QUIET_MS);

	if (set->peak >= STORM && set->count <= set->peak / 4)
		give_memory_back(set);
	else if (set->peak >= CROWD && set->count == 0)
		event_add(&set->quiet, &quiet);
}

void connection_set_remove(struct connection *connection)
{
	struct connection_set *set = connection->set;

	TAILQ_REMOVE(list_of(set, connection->phase), connection, list);
	sources_release(&set->sources, connection->source);
	set->count--;
	if (is_waiting(connection->phase))
		gate_counts_wait(set->counts, false);
	consider_memory(set);
	if (set->count == 0 && set->draining)
		set->emptied(set->context);
}
