/* The queue of answers that wait for the store. Runs in the broker's event loop. */
#include "server/held_answers.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/queue.h>

#include <event2/event.h>

#include "base/event.h"
#include "base/log.h"

struct held_answer {
	struct reply_to to;
	struct ipv4 address;
	uint64_t sequence, deadline_ms;
	STAILQ_ENTRY(held_answer) entry;
};

struct held_answers {
	struct held_answers_config config;
	STAILQ_HEAD(, held_answer) queue; /* by sequence number, and so by deadline */
	size_t n;
	struct event *timer; /* NULL in a test */
	/* It was too slow: nobody waits until what was ordered last when it was looked at, the
	 * probe, is written soon enough. Under load there is always something newer. */
	bool is_behind;
	uint64_t probe, probe_ms; /* sequence number, and since when it is looked at */
	uint64_t newest, durable; /* sequence numbers */
};

static uint64_t now_ms(const struct held_answers *held)
{
	return clock_now_ms(held->config.clock);
}

static void probe(struct held_answers *held)
{
	held->probe = held->newest;
	held->probe_ms = now_ms(held);
}

/* Half of the wait, so that it is not given up again at once. */
static bool is_fast_again(const struct held_answers *held)
{
	return held->durable >= held->newest ||
	       now_ms(held) - held->probe_ms < held->config.wait_ms / 2;
}

static void schedule(struct held_answers *held)
{
	const struct held_answer *first = STAILQ_FIRST(&held->queue);
	uint64_t now = now_ms(held);
	struct timeval delay;

	if (!held->timer)
		return;
	if (!first) {
		evtimer_del(held->timer);
		return;
	}
	delay = timeval_from_ms(first->deadline_ms > now ? first->deadline_ms - now : 0);
	evtimer_add(held->timer, &delay);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	held_answers_expire(context);
}

int held_answers_new(struct event_base *base, const struct held_answers_config *config,
	struct held_answers **result)
{
	struct held_answers *held = calloc(1, sizeof *held);

	if (!held)
		return -ENOMEM;
	held->config = *config;
	STAILQ_INIT(&held->queue);
	if (base && !(held->timer = evtimer_new(base, on_timer, held))) {
		free(held);
		return -ENOMEM;
	}
	*result = held;
	return 0;
}

static void remove_first(struct held_answers *held)
{
	struct held_answer *first = STAILQ_FIRST(&held->queue);

	STAILQ_REMOVE_HEAD(&held->queue, entry);
	held->n--;
	free(first);
}

void held_answers_free(struct held_answers *held)
{
	if (!held)
		return;
	while (!STAILQ_EMPTY(&held->queue))
		remove_first(held);
	free_event(held->timer);
	free(held);
}

static void answer(struct held_answers *held, const struct reply_to *to, struct ipv4 address)
{
	held->config.answer(held->config.context, to, IPC_OK, address);
}

static void answer_first(struct held_answers *held)
{
	const struct held_answer *first = STAILQ_FIRST(&held->queue);

	answer(held, &first->to, first->address);
	remove_first(held);
}

void held_answers_add(struct held_answers *held, const struct reply_to *to, struct ipv4 address,
	uint64_t sequence)
{
	bool waits = held->config.wait_ms > 0 && !held->is_behind && sequence > held->durable;
	struct held_answer *added = waits ? malloc(sizeof *added) : NULL;

	if (sequence > held->newest)
		held->newest = sequence;
	/* Without memory for it, it is better given now than never. */
	if (!added) {
		answer(held, to, address);
		return;
	}
	*added = (struct held_answer){
		.to = *to,
		.address = address,
		.sequence = sequence,
		.deadline_ms = now_ms(held) + held->config.wait_ms,
	};
	STAILQ_INSERT_TAIL(&held->queue, added, entry);
	if (held->n++ == 0)
		schedule(held);
}

void held_answers_durable(struct held_answers *held, uint64_t sequence)
{
	const struct held_answer *first;

	held->durable = sequence;
	while ((first = STAILQ_FIRST(&held->queue)) && first->sequence <= sequence)
		answer_first(held);
	if (held->is_behind && sequence >= held->probe) {
		held->is_behind = !is_fast_again(held);
		if (held->is_behind)
			probe(held);
		else
			log_info("the store is up to date again");
	}
	schedule(held);
}

void held_answers_lost(struct held_answers *held, uint64_t sequence)
{
	struct held_answer *answer;

	STAILQ_FOREACH(answer, &held->queue, entry)
	answer->sequence = sequence;
	held->newest = sequence;
	if (held->is_behind)
		probe(held);
}

void held_answers_expire(struct held_answers *held)
{
	const uint64_t now = now_ms(held);
	const struct held_answer *first = STAILQ_FIRST(&held->queue);

	if (first && first->deadline_ms <= now && !held->is_behind) {
		held->is_behind = true;
		probe(held);
		log_warning("the store has not answered for %llu ms: until it does, tunnels that "
			    "are given may be forgotten if this host fails",
			(unsigned long long)held->config.wait_ms);
	}
	while (held->is_behind && !STAILQ_EMPTY(&held->queue))
		answer_first(held);
	schedule(held);
}

size_t held_answers_count(const struct held_answers *held)
{
	return held->n;
}
