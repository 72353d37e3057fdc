/*
 * What happens to peers, told to those who keep a record of it: the log, the audit and the flow
 * log. A peer is told of once when it begins (granted or adopted) and once when it ends.
 */
#pragma once

#include <stdbool.h>

#include "ipc/message.h"

struct client_request;
struct endpoint;
struct peer;
struct plane_peer;

/* A new client has its tunnel. */
void peer_events_granted(struct endpoint *endpoint, struct peer *peer);
/* It has asked again; is_another: from another address than before, or by another name. */
void peer_events_asked_again(struct endpoint *endpoint, struct peer *peer, bool is_another);
/* Of all peers that nothing was told of yet: they were there, or were promised. */
void peer_events_adopted(struct endpoint *endpoint);

/* It is gone; reason as with removals_add(). */
void peer_events_removed(struct endpoint *endpoint, const struct peer *peer, const char *reason);
/* All of them are gone, or another host's. */
void peer_events_ended(struct endpoint *endpoint, const char *reason);

/* A request is refused. id: whose; NULL: not known. */
void peer_events_refused(struct endpoint *endpoint, const struct client_request *request,
	const struct plane_peer *id, enum ipc_status status);
