/*
 * Answers `vprox show` on a socket. Runs in the broker's event loop; nothing here blocks.
 */
#include "server/control_socket.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/log.h"
#include "base/unix_address.h"
#include "ipc/report.h"
#include "server/peer_listing.h"

enum {
	SOCKET_MASK = 0177, /* leaves 0600 */
	/* Sent at a time; other events have their turn in between. */
	WRITE_SIZE = 64 * 1024,
	LOOKS = 4, /* in the time that one may stand still, while all places are taken */
};

struct connection_slot {
	struct control_socket *control;
	struct bufferevent *stream; /* NULL: free */
	struct event *deadline;
	bool is_answered; /* but for: */
	struct peer_listing *peers; /* that are yet to be sent; NULL: none */
	uint64_t number; /* of the order that is under way; 0: none */
	uint64_t moved_ms; /* when it last came, asked, or had taken all there was for it */
};

struct control_socket {
	struct control_socket_config config;
	char *path;
	struct event_base *base;
	struct evconnlistener *listener; /* off while there is no place */
	struct event *room; /* the timer that makes some, then */
	uint64_t last_number; /* of orders */
	struct connection_slot slots[CONTROL_MAX_CONNECTIONS];
};

static struct connection_slot *find_free(struct control_socket *control)
{
	for (size_t i = 0; i < CONTROL_MAX_CONNECTIONS; i++)
		if (!control->slots[i].stream)
			return &control->slots[i];
	return NULL;
}

static void end(struct connection_slot *slot)
{
	if (slot->stream)
		bufferevent_free(slot->stream);
	slot->stream = NULL;
	slot->number = 0;
	peer_listing_free(slot->peers);
	slot->peers = NULL;
	free_event(slot->deadline);
	slot->deadline = NULL;
	evconnlistener_enable(slot->control->listener);
	event_del(slot->control->room);
}

static void mark_moved(struct connection_slot *slot)
{
	slot->moved_ms = clock_now_ms(&system_clock);
}

/* NULL: all have moved of late. The server is at work on an order itself. */
static struct connection_slot *find_stillest(struct control_socket *control)
{
	const uint64_t now_ms = clock_now_ms(&system_clock);
	struct connection_slot *stillest = NULL;

	for (size_t i = 0; i < CONTROL_MAX_CONNECTIONS; i++) {
		struct connection_slot *slot = &control->slots[i];

		if (slot->stream && slot->number == 0 &&
			now_ms - slot->moved_ms >= control->config.still_ms &&
			(!stillest || slot->moved_ms < stillest->moved_ms))
			stillest = slot;
	}
	return stillest;
}

static bool is_anybody_waiting(const struct control_socket *control)
{
	struct pollfd listener = {.fd = evconnlistener_get_fd(control->listener), .events = POLLIN};

	return poll(&listener, 1, 0) > 0;
}

/* A reader that has stopped does not keep the next one waiting until its time is over. */
static void on_room(evutil_socket_t fd, short what, void *context)
{
	struct control_socket *control = context;
	struct connection_slot *still = is_anybody_waiting(control) ? find_stillest(control) : NULL;

	(void)fd;
	(void)what;
	if (!still)
		return;
	log_debug("control socket: a connection that stood still makes room for another one");
	end(still);
}

/* Nobody is let in until a place is free. */
static void close_door(struct control_socket *control)
{
	const struct timeval pause = timeval_from_ms(control->config.still_ms / LOOKS);

	evconnlistener_disable(control->listener);
	event_add(control->room, &pause);
}

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	log_debug("control socket: a connection was not done in time");
	end(context);
}

static void on_event(struct bufferevent *stream, short what, void *context)
{
	(void)stream;
	(void)what;
	end(context);
}

/* The piece before is in the kernel. */
static void send_peers(struct connection_slot *slot)
{
	int result = peer_listing_next(slot->peers, bufferevent_get_output(slot->stream));

	if (result < 0) {
		end(slot);
	} else if (result == 0) {
		peer_listing_free(slot->peers);
		slot->peers = NULL;
	}
}

static void on_written(struct bufferevent *stream, void *context)
{
	struct connection_slot *slot = context;

	(void)stream;
	mark_moved(slot);
	if (slot->peers)
		send_peers(slot);
	else if (slot->is_answered)
		end(slot);
}

static enum report_extent extent_of(const struct report_request *request)
{
	return request->version == REPORT_VERSION && request->extent == REPORT_SUMS ? REPORT_SUMS
										    : REPORT_ALL;
}

static bool is_order(const struct connection_slot *slot, const struct report_request *request)
{
	return request->version == REPORT_VERSION && request->extent == REPORT_DISCONNECT &&
	       slot->control->config.disconnect;
}

static void take_order(struct connection_slot *slot, struct evbuffer *in)
{
	struct control_socket *control = slot->control;
	struct disconnect_order order;

	if (evbuffer_get_length(in) < sizeof(struct report_request) + sizeof order) {
		bufferevent_setwatermark(
			slot->stream, EV_READ, 0, sizeof(struct report_request) + sizeof order);
		return;
	}
	evbuffer_drain(in, sizeof(struct report_request));
	evbuffer_remove(in, &order, sizeof order);
	bufferevent_disable(slot->stream, EV_READ);
	slot->number = ++control->last_number;
	if (control->config.disconnect(control->config.context, &order, slot->number) < 0)
		end(slot);
}

static struct connection_slot *find_order(struct control_socket *control, uint64_t number)
{
	for (size_t i = 0; i < CONTROL_MAX_CONNECTIONS; i++)
		if (control->slots[i].stream && control->slots[i].number == number)
			return &control->slots[i];
	return NULL;
}

void control_socket_tell(
	struct control_socket *control, uint64_t number, const struct disconnect_state *state)
{
	struct connection_slot *slot = control ? find_order(control, number) : NULL;
	struct timeval deadline;

	if (!slot)
		return;
	deadline = timeval_from_ms(control->config.deadline_ms);
	event_add(slot->deadline, &deadline);
	slot->is_answered = state->is_done;
	if (bufferevent_write(slot->stream, state, sizeof *state) < 0)
		end(slot);
}

static void on_question(struct bufferevent *stream, void *context)
{
	struct connection_slot *slot = context;
	const struct control_socket_config *config = &slot->control->config;
	struct report_request request;

	if (evbuffer_get_length(bufferevent_get_input(stream)) < sizeof request)
		return;
	evbuffer_copyout(bufferevent_get_input(stream), &request, sizeof request);
	if (is_order(slot, &request)) {
		take_order(slot, bufferevent_get_input(stream));
		return;
	}
	mark_moved(slot);
	/* Of whatever version: the answer tells its own. */
	evbuffer_remove(bufferevent_get_input(stream), &request, sizeof request);
	bufferevent_disable(stream, EV_READ);
	slot->is_answered = true;
	if (config->answer(config->context, extent_of(&request), bufferevent_get_output(stream),
		    &slot->peers) < 0)
		end(slot);
}

/* By uid: root, or whoever the server runs as where that is not root. */
static bool is_allowed(int fd)
{
	struct ucred peer;
	socklen_t length = sizeof peer;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
	       (peer.uid == 0 || peer.uid == geteuid());
}

static void begin(struct connection_slot *slot, int fd)
{
	struct control_socket *control = slot->control;
	struct timeval deadline = timeval_from_ms(control->config.deadline_ms);

	slot->is_answered = false;
	mark_moved(slot);
	slot->stream = bufferevent_socket_new(control->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!slot->stream) {
		close(fd);
		return;
	}
	slot->deadline = evtimer_new(control->base, on_deadline, slot);
	if (!slot->deadline || event_add(slot->deadline, &deadline) < 0) {
		end(slot);
		return;
	}
	bufferevent_setcb(slot->stream, on_question, on_written, on_event, slot);
	bufferevent_setwatermark(slot->stream, EV_READ, 0, sizeof(struct report_request));
	bufferevent_set_max_single_write(slot->stream, WRITE_SIZE);
	bufferevent_enable(slot->stream, EV_READ);
}

static void on_connection(struct evconnlistener *listener, evutil_socket_t fd,
	struct sockaddr *address, int length, void *context)
{
	struct control_socket *control = context;
	struct connection_slot *slot = find_free(control);

	(void)listener;
	(void)address;
	(void)length;
	if (slot && is_allowed(fd)) {
		begin(slot, fd);
	} else {
		log_warning("control socket: refused a connection that is not root's");
		close(fd);
	}
	if (!find_free(control))
		close_door(control);
}

static int start(struct control_socket *control)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error = fd < 0 ? -errno : unix_bind_anew(fd, control->path, SOCKET_MASK);

	if (error == 0) {
		control->listener = evconnlistener_new(control->base, on_connection, control,
			LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, CONTROL_MAX_CONNECTIONS, fd);
		error = control->listener ? 0 : -ENOMEM;
	}
	control->room = event_new(control->base, -1, EV_PERSIST, on_room, control);
	if (!control->room)
		error = -ENOMEM;
	if (error < 0 && control->listener)
		evconnlistener_free(control->listener);
	else if (error < 0 && fd >= 0)
		close(fd);
	if (error < 0)
		free_event(control->room);
	return error;
}

int control_socket_open(struct event_base *base, const struct control_socket_config *config,
	struct control_socket **result)
{
	struct control_socket *control = calloc(1, sizeof *control);
	int error = -ENOMEM;

	if (!control)
		return error;
	control->config = *config;
	control->base = base;
	control->path = strdup(config->path);
	for (size_t i = 0; i < CONTROL_MAX_CONNECTIONS; i++)
		control->slots[i].control = control;
	if (control->path)
		error = start(control);
	if (error < 0) {
		free(control->path);
		free(control);
		return error;
	}
	*result = control;
	return 0;
}

void control_socket_close(struct control_socket *control)
{
	if (!control)
		return;
	unlink(control->path);
	for (size_t i = 0; i < CONTROL_MAX_CONNECTIONS; i++)
		if (control->slots[i].stream)
			end(&control->slots[i]);
	free_event(control->room);
	evconnlistener_free(control->listener);
	free(control->path);
	free(control);
}
