/*
 * What can be asked for, and every check between a request and its answer, in the order that the
 * contract has them: 431, 404, 403, 405, 401, 413, 400, 409, 429, 503, 500.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/resolvers.h"
#include "gate/auth.h"
#include "gate/client_address.h"
#include "http/http.h"
#include "gate/response.h"
#include "gate/served.h"
#include "ipc/message.h"

/* What the answers depend on. */
struct routes {
	struct served_set served;
	struct auth auth;
	struct resolvers announced; /* with each tunnel */
};

struct http_route;

/* The answer where the request could not be read: event is one of the parser's errors. */
void routes_reject(enum http_event event, struct response *response);

/*
 * The checks that need no body. Returns the route, to be passed to the functions below, and the
 * client's name; NULL if the request is refused, and then the response is set. Or the key of the
 * client's token is awaited: then the response's status is 0, and this is to be called again, soon.
 * The response's path is set in any case.
 */
const struct http_route *routes_admit(const struct routes *routes, const struct http_head *head,
	const struct client_address *client, struct response *response, struct client_name *name);

/* The answer to a bearer that is not good. */
void routes_refuse_bearer(struct response *response);

/*
 * The checks of the body, once it is there. Returns true if the broker is to be asked: then the
 * request is set but for its id and the client's name. Else the response is set.
 */
bool routes_serve(const struct routes *routes, const struct http_route *route,
	const struct client_address *client, bool draining, const char *body, size_t length,
	struct response *response, struct ipc_request *request);

/* What the broker's answer to the request means for the client. */
void routes_answer(const struct routes *routes, const struct http_route *route,
	const struct client_address *client, const struct ipc_reply *reply,
	struct response *response);
