#include "gate/admission.h"

#include <malloc.h>
#include <unistd.h>

#include "base/log.h"

enum {
	STORM = 32, /* connections at once, after which memory is given back */
};

static struct connection_list *list_of(struct connections *set, enum connection_phase phase)
{
	switch (phase) {
	case PHASE_ASKING:
		return &set->asking;
	case PHASE_ANSWERING:
	case PHASE_LINGERING:
		return &set->answered;
	default:
		return &set->unanswered;
	}
}

int connections_init(struct connections *set)
{
	set->draining = false;
	set->count = set->peak = 0;
	set->crowded = set->too_many = (struct log_limit){0};
	set->unauthorized = set->late = (struct log_limit){0};
	TAILQ_INIT(&set->unanswered);
	TAILQ_INIT(&set->asking);
	TAILQ_INIT(&set->answered);
	return sources_init(&set->sources);
}

void connections_free(struct connections *set)
{
	struct connection *connection;

	set->draining = false;
	while ((connection = TAILQ_FIRST(&set->asking)))
		connection_close(connection);
	while (connections_evict(set))
		;
	sources_free(&set->sources);
}

bool connections_evict(struct connections *set)
{
	struct connection *oldest = TAILQ_FIRST(&set->answered);

	if (!oldest)
		oldest = TAILQ_FIRST(&set->unanswered);
	if (oldest)
		connection_close(oldest);
	return oldest != NULL;
}

/* Room for one more in all. False if everybody waits for the broker. */
static bool make_room(struct connections *set)
{
	struct log_limit_text more;

	if (set->count < set->max)
		return true;
	if (log_limit_take(&set->crowded, clock_now_ms(set->clock), &more))
		log_info("%u connections: the oldest has to go%s", set->count, more.s);
	return connections_evict(set);
}

void connections_admit(struct connections *set, int fd, const struct client *client)
{
	struct source *source = sources_take(&set->sources, &client->address, set->max_per_source);
	struct connection *connection = NULL;
	struct log_limit_text more;

	if (!source) {
		if (log_limit_take(&set->too_many, clock_now_ms(set->clock), &more))
			log_info("%s: refused, has %u connections already%s", client_text(client).s,
				set->max_per_source, more.s);
		close(fd);
		return;
	}
	if (make_room(set))
		connection = connection_new(set, fd, client, source);
	if (!connection) {
		sources_release(&set->sources, source);
		close(fd);
		return;
	}
	TAILQ_INSERT_TAIL(list_of(set, connection->phase), connection, list);
	set->count++;
	if (set->peak < set->count)
		set->peak = set->count;
}

void connections_enter(struct connection *connection, enum connection_phase phase)
{
	struct connection_list *from = list_of(connection->set, connection->phase);
	struct connection_list *to = list_of(connection->set, phase);

	connection->phase = phase;
	if (from == to)
		return;
	TAILQ_REMOVE(from, connection, list);
	TAILQ_INSERT_TAIL(to, connection, list);
}

/* After a storm, its memory goes back to the system. */
static void give_memory_back(struct connections *set)
{
	if (set->peak < STORM || set->count > set->peak / 4)
		return;
	malloc_trim(0);
	set->peak = set->count;
}

void connections_remove(struct connection *connection)
{
	struct connections *set = connection->set;

	TAILQ_REMOVE(list_of(set, connection->phase), connection, list);
	sources_release(&set->sources, connection->source);
	set->count--;
	give_memory_back(set);
	if (set->count == 0 && set->draining)
		set->emptied(set->context);
}

static void close_idle(struct connections *set)
{
	struct connection *next;

	for (struct connection *connection = TAILQ_FIRST(&set->unanswered); connection;
		connection = next) {
		next = TAILQ_NEXT(connection, list);
		if (connection_is_idle(connection))
			connection_close(connection);
	}
}

void connections_drain(struct connections *set)
{
	close_idle(set);
	set->draining = true;
	if (set->count == 0)
		set->emptied(set->context);
}
