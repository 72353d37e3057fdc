/* Tells the process of the flow log who has which address. Runs in the broker, which waits for
 * nothing. */
#include "server/owner_feed.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "base/clock.h"
#include "base/event.h"
#include "ipc/flow_process.h"
#include "ipc/packet.h"
#include "server/all_peers.h"
#include "server/child.h"
#include "server/endpoint.h"

enum {
	SEND_AGAIN_MS = 5, /* after the process's socket was full */
	/* Of what it has not taken yet: a process that far behind is started again. All peers of a
	   full block of 65,536 take 14 MB. */
	QUEUE_MAX_SIZE = 64 << 20,
	PAST = 256, /* peers that have gone, for a process that is started again */
};

static const uint64_t ns_per_s = 1000000000;

struct past_peer {
	struct flows_message begin, end;
};

struct owner_feed {
	struct all_peers telling; /* a process that was started of those who are there */
	struct child *child; /* NULL: none was started yet */
	struct event *send_again;
	struct evbuffer *queue; /* of messages, for the process that runs */
	struct past_peer past[PAST]; /* a ring: n_past % PAST is the oldest */
	uint64_t n_past;
};

static void send_again_later(struct owner_feed *feed)
{
	const struct timeval delay = timeval_from_ms(SEND_AGAIN_MS);

	evtimer_add(feed->send_again, &delay);
}

static bool may_send(const struct owner_feed *feed)
{
	return feed->child && feed->child->fd >= 0;
}

void owner_feed_send(struct owner_feed *feed)
{
	struct flows_message message;
	int error = 0;

	if (!feed || !may_send(feed))
		return;
	while (error == 0 && evbuffer_copyout(feed->queue, &message, sizeof message) ==
				     (ssize_t)sizeof message) {
		error = flows_send(feed->child->fd, &message, -1);
		if (error == 0)
			evbuffer_drain(feed->queue, sizeof message);
	}
	/* One that has hung up is started again, and told anew. */
	if (error < 0 && !packet_is_hung_up(error))
		send_again_later(feed);
}

static void on_send_again(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	owner_feed_send(context);
}

/* Without memory for it the process would know something that is not so: another one is told
 * anew. */
static void enqueue(struct owner_feed *feed, const struct flows_message *message)
{
	int error = evbuffer_add(feed->queue, message, sizeof *message) < 0 ? -ENOMEM : 0;

	if (error == 0 && evbuffer_get_length(feed->queue) > QUEUE_MAX_SIZE)
		error = -ENOBUFS;
	if (error < 0 && may_send(feed))
		child_expel(feed->child, "cannot tell it who has which address", error);
}

static struct flows_message describe_begin(const struct peer *peer, uint64_t when_ns)
{
	return (struct flows_message){
		.version = FLOWS_VERSION,
		.kind = FLOWS_BEGIN,
		.inner = peer->id.inner,
		.client = peer->id.kind == PEER_WIREGUARD ? FLOWS_WIREGUARD : FLOWS_IPIP,
		.name = *peers_name_of(peer),
		.when_ns = when_ns,
	};
}

static struct flows_message describe_end(const struct peer *peer)
{
	return (struct flows_message){
		.version = FLOWS_VERSION,
		.kind = FLOWS_END,
		.inner = peer->id.inner,
		.when_ns = clock_wall_ns(),
	};
}

/* A process that is not there is told all when it is: nothing is kept for it meanwhile, however
 * long that is. */
void owner_feed_began(struct owner_feed *feed, const struct peer *peer)
{
	struct flows_message message;

	if (!feed || !may_send(feed))
		return;
	message = describe_begin(peer, clock_wall_ns());
	enqueue(feed, &message);
	owner_feed_send(feed);
}

void owner_feed_ended(struct owner_feed *feed, const struct peer *peer)
{
	struct past_peer *past;

	if (!feed)
		return;
	past = &feed->past[feed->n_past++ % PAST];
	past->begin = describe_begin(peer, peer->promise.made_s * ns_per_s);
	past->end = describe_end(peer);
	if (!may_send(feed))
		return;
	/* It may be that the process does not know it yet. One that it knows begins no second time.
	 */
	if (all_peers_runs(&feed->telling))
		enqueue(feed, &past->begin);
	enqueue(feed, &past->end);
	owner_feed_send(feed);
}

static void enqueue_past(struct owner_feed *feed)
{
	const uint64_t first = feed->n_past > PAST ? feed->n_past - PAST : 0;

	for (uint64_t i = first; i < feed->n_past; i++) {
		enqueue(feed, &feed->past[i % PAST].begin);
		enqueue(feed, &feed->past[i % PAST].end);
	}
}

/* Those that the audit knows of: who is promised and not there yet follows. */
static void tell_of(void *context, struct endpoint *endpoint, struct peer *peer)
{
	struct owner_feed *feed = context;
	const struct flows_message begin = describe_begin(peer, peer->promise.made_s * ns_per_s);

	(void)endpoint;
	if (peer->is_told && may_send(feed))
		enqueue(feed, &begin);
}

static void end_telling(void *context)
{
	const struct flows_message told = {.version = FLOWS_VERSION, .kind = FLOWS_TOLD};
	struct owner_feed *feed = context;

	if (may_send(feed))
		enqueue(feed, &told);
	owner_feed_send(feed);
}

int owner_feed_tell_all(struct owner_feed *feed, struct child *child)
{
	feed->child = child;
	evbuffer_drain(feed->queue, evbuffer_get_length(feed->queue));
	enqueue_past(feed);
	owner_feed_send(feed);
	return all_peers_begin(&feed->telling);
}

int owner_feed_new(
	struct event_base *base, const struct endpoint_list *endpoints, struct owner_feed **result)
{
	struct owner_feed *feed = calloc(1, sizeof *feed);

	if (!feed)
		return -ENOMEM;
	feed->send_again = evtimer_new(base, on_send_again, feed);
	feed->queue = evbuffer_new();
	if (feed->send_again && feed->queue &&
		all_peers_init(&feed->telling, base, endpoints, tell_of, end_telling, feed) == 0) {
		*result = feed;
		return 0;
	}
	owner_feed_free(feed);
	return -ENOMEM;
}

void owner_feed_free(struct owner_feed *feed)
{
	if (!feed)
		return;
	all_peers_free(&feed->telling);
	free_event(feed->send_again);
	if (feed->queue)
		evbuffer_free(feed->queue);
	free(feed);
}
