/* Counts the checks of passwords by source. Runs in the gate's one thread. */
#include "gate/check_places.h"

bool check_places_take(struct connection *connection, unsigned int max)
{
	struct source *source = connection->source;

	if (connection->is_checked)
		return true;
	if (source->n_checks >= max) {
		TAILQ_INSERT_TAIL(&source->held, connection, held);
		connection->is_held = true;
		return false;
	}
	source->n_checks++;
	connection->is_checked = true;
	return true;
}

static void stop_waiting(struct connection *connection)
{
	if (!connection->is_held)
		return;
	TAILQ_REMOVE(&connection->source->held, connection, held);
	connection->is_held = false;
}

struct connection *check_places_give_back(struct connection *connection)
{
	struct source *source = connection->source;
	struct connection *next = TAILQ_FIRST(&source->held);

	if (!connection->is_checked) {
		stop_waiting(connection);
		return NULL;
	}
	connection->is_checked = false;
	if (!next) {
		source->n_checks--;
		return NULL;
	}
	stop_waiting(next);
	next->is_checked = true;
	return next;
}
