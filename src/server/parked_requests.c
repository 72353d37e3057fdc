/*
 * Keeps requests until it is read again what peers have used. Runs in the broker's event loop.
 */
#include "server/parked_requests.h"

#include <errno.h>
#include <stdlib.h>

#include "server/peer_events.h"
#include "server/usage.h"

struct parked_request {
	struct client_request request;
	struct reply_to reply_to;
	parked_request_fn *handle;
	TAILQ_ENTRY(parked_request) entry;
};

void parked_requests_refuse(struct parked_requests *parked, enum ipc_status status)
{
	struct endpoint *endpoint = parked->endpoint;
	struct parked_request *request;

	while ((request = TAILQ_FIRST(&parked->queue))) {
		TAILQ_REMOVE(&parked->queue, request, entry);
		peer_events_refused(endpoint, &request->request, NULL, status);
		endpoint->answer(
			endpoint->answer_context, &request->reply_to, status, (struct ipv4){0});
		free(request);
	}
}

/* What could not be read is as it was known. Where the device was given up, whoever does that is at
 * work on it: nothing can be asked of it now. */
static void on_reading(void *context, int error)
{
	struct parked_requests *parked = context;
	struct parked_request *request;

	if (error == -ECANCELED) {
		parked_requests_refuse(parked, IPC_FAILED);
		return;
	}
	while ((request = TAILQ_FIRST(&parked->queue))) {
		TAILQ_REMOVE(&parked->queue, request, entry);
		request->handle(parked->endpoint, &request->request, &request->reply_to);
		free(request);
	}
}

void parked_requests_init(struct parked_requests *parked, struct endpoint *endpoint)
{
	*parked = (struct parked_requests){
		.endpoint = endpoint, .waiter = {.done = on_reading, .context = parked}};
	TAILQ_INIT(&parked->queue);
}

void parked_requests_free(struct parked_requests *parked)
{
	struct parked_request *request;

	if (!parked->endpoint)
		return;
	usage_cancel(parked->endpoint, &parked->waiter);
	while ((request = TAILQ_FIRST(&parked->queue))) {
		TAILQ_REMOVE(&parked->queue, request, entry);
		free(request);
	}
}

int parked_requests_add(struct parked_requests *parked, const struct client_request *request,
	const struct reply_to *reply_to, parked_request_fn *handle)
{
	struct parked_request *added = malloc(sizeof *added);

	if (!added)
		return -ENOMEM;
	*added = (struct parked_request){
		.request = *request, .reply_to = *reply_to, .handle = handle};
	TAILQ_INSERT_TAIL(&parked->queue, added, entry);
	usage_request(parked->endpoint, &parked->waiter);
	return 0;
}
