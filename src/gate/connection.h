/*
 * The life of one connection, from accept to close. Every phase ends at a moment that is fixed when
 * it begins, however slowly the bytes come.
 */
#pragma once

#include <stdbool.h>

#include "gate/connection_set.h"

enum {
	CONNECTION_REQUEST_MS = 10000, /* from accept to the end of the request, and to that of the
					  answer where the broker is not asked */
	CONNECTION_HANDSHAKE_MS = 5000, /* from our answer to the client's first message */
	CONNECTION_PAUSE_MS = 1000, /* before the answer to a wrong password */
	CONNECTION_KEY_MS = 1000, /* for the key of a token, which its issuer is asked for */
	CONNECTION_KEY_LOOK_MS = 50, /* until it is looked for again */
	CONNECTION_CHECKS_MAX = 64, /* wrong passwords of one source in that time */
	CONNECTION_ANSWER_MS = 10000, /* from asking the broker to the end of the answer */
	CONNECTION_LINGER_MS = 1000, /* for the client to close first */
};

/* Takes the socket over, and waits for its first byte. The connection is not in the set yet.
 * Returns NULL, and then has not taken the socket, if there is no memory. */
struct connection *connection_new(struct connection_set *set, int fd,
	const struct client_address *client, struct source *source);

/* Closes it at once, in whatever phase it is, takes it out of the set and frees it. */
void connection_close(struct connection *connection);

/* Whether nothing of a request has come, and nothing is on its way. */
bool connection_is_idle(const struct connection *connection);
