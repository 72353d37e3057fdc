/* The gate's end of the socket to the broker: requests out, answers back to who asked. */
#pragma once

#include <stdbool.h>

#include <event2/event.h>

#include "base/hash.h"
#include "gate/fair_queue.h"
#include "ipc/message.h"

struct broker_link;

/* One request on its way. It lives with its owner, who must not free it before it is answered or
 * forgotten. */
struct broker_call {
	struct ipc_request request;
	int client; /* the socket that goes along; the owner's */
	struct fair_lane *lane; /* of its source, among those that wait to be sent */
	/* Called once, when the call is out of the link's hands. */
	void (*answered)(struct broker_call *call, const struct ipc_reply *reply);

	/* The link's own. */
	struct hash_node node;
	struct fair_item waiting; /* until it is sent */
};

struct broker_events {
	/* The broker wants this gate to finish. */
	void (*drain)(void *context, bool hand_over);
	/* There is a signer: a socket to it, which is the callee's. */
	void (*signer)(void *context, int fd);
	/* One more endpoint is to be served, with this listening socket, which is the callee's. */
	void (*endpoint)(void *context, const struct gate_endpoint *endpoint, int fd);
	/* The one of this address is not to be served any more. */
	void (*endpoint_gone)(void *context, struct ipv4 bind);
	/* Other settings are in force. */
	void (*live_settings)(void *context, const struct live_settings *live);
	/* There are other tokens: a file, which is the callee's. */
	void (*tokens)(void *context, int fd);
	/* It is gone, or what it sends does not decode: a negative errno. Nothing comes after this.
	 */
	void (*lost)(void *context, int error);
	void *context;
};

/*
 * Takes the socket over and makes it non-blocking. So many requests are with the broker at the most
 * (IPC_OUTSTANDING_MAX is the limit); others wait here, where sources take turns. Returns NULL with
 * errno set.
 */
struct broker_link *broker_link_new(struct event_base *base, int fd, unsigned int max_outstanding,
	const struct broker_events *events);
/* There must be no calls left. */
void broker_link_free(struct broker_link *link);

/* Gives the request its id and sends it, at once or when the socket has room. */
void broker_link_ask(struct broker_link *link, struct broker_call *call);

/* Sends a message that is not answered. Returns 0, or -EAGAIN if there is no room for it now, or
 * -EPIPE. */
int broker_link_tell(struct broker_link *link, const struct ipc_request *request);

/* Nobody waits for this call's answer any more. */
void broker_link_forget(struct broker_link *link, struct broker_call *call);
