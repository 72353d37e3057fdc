/* Begins handshakes, one a turn, so that all else that has happened gets its turn in between. Runs
 * in the gate's one thread, called by its events. */
#include "gate/handshake_queue.h"

#include <errno.h>

#include <event2/event.h>

#include "base/event.h"

static void try_again_in(struct handshake_queue *queue, uint64_t ms)
{
	struct timeval delay = timeval_from_ms(ms);

	evtimer_add(queue->turn, &delay);
}

/* Room for one more. False if all that run are young, or the oldest is not to blame. */
static bool make_room(struct handshake_queue *queue)
{
	struct tls_handshake *oldest = TAILQ_FIRST(&queue->running);
	uint64_t age_ms;

	if (queue->n_running < queue->max_running)
		return true;
	age_ms = clock_now_ms(queue->clock) - oldest->began_ms;
	if (age_ms < HANDSHAKE_GRACE_MS)
		return try_again_in(queue, HANDSHAKE_GRACE_MS - age_ms), false;
	if (!oldest->give_way(oldest))
		return try_again_in(queue, HANDSHAKE_GRACE_MS), false;
	return true;
}

static void begin_next(struct handshake_queue *queue)
{
	struct fair_item *item = fair_queue_first(&queue->waiting);
	struct tls_handshake *handshake =
		(struct tls_handshake *)((char *)item - offsetof(struct tls_handshake, waiting));

	fair_queue_take(&queue->waiting, item);
	handshake->is_running = true;
	handshake->began_ms = clock_now_ms(queue->clock);
	TAILQ_INSERT_TAIL(&queue->running, handshake, entry);
	queue->n_running++;
	handshake->begin(handshake);
}

static void call_next(struct handshake_queue *queue)
{
	if (!fair_queue_is_empty(&queue->waiting))
		event_active(queue->turn, EV_TIMEOUT, 0);
}

static void on_turn(evutil_socket_t fd, short what, void *context)
{
	struct handshake_queue *queue = context;

	(void)fd;
	(void)what;
	if (fair_queue_is_empty(&queue->waiting) || !make_room(queue))
		return;
	begin_next(queue);
	call_next(queue);
}

int handshake_queue_init(struct handshake_queue *queue, struct event_base *base,
	const struct clock *clock, unsigned int max_connections)
{
	unsigned int share = max_connections / HANDSHAKES_SHARE;

	fair_queue_init(&queue->waiting);
	TAILQ_INIT(&queue->running);
	queue->n_running = 0;
	queue->max_running = share > HANDSHAKES_AT_LEAST ? share : HANDSHAKES_AT_LEAST;
	queue->clock = clock;
	queue->turn = evtimer_new(base, on_turn, queue);
	return queue->turn ? 0 : -ENOMEM;
}

void handshake_queue_free(struct handshake_queue *queue)
{
	free_event(queue->turn);
	queue->turn = NULL;
}

void handshake_queue_add(
	struct handshake_queue *queue, struct fair_lane *lane, struct tls_handshake *handshake)
{
	fair_queue_add(&queue->waiting, lane, &handshake->waiting);
	call_next(queue);
}

void handshake_queue_end(struct handshake_queue *queue, struct tls_handshake *handshake)
{
	fair_queue_forget(&queue->waiting, &handshake->waiting);
	if (!handshake->is_running)
		return;
	handshake->is_running = false;
	TAILQ_REMOVE(&queue->running, handshake, entry);
	queue->n_running--;
	call_next(queue);
}
