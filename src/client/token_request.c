/* Starts the processes that get a token, and keeps what they bring. Runs in the client's one
 * thread, called by its events. */
#include "client/token_request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "client/token_source.h"

static void end(struct token_request *request, const char *fault)
{
	token_request_cancel(request);
	request->on_end(request->context, fault);
}

/* What came instead of what was to come. */
static void fail(struct token_request *request, const void *packet, ssize_t n)
{
	struct request_result result;
	char text[REQUEST_TEXT_MAX] = "the process that gets a token broke off";

	if (n > 0 && request_decode_result(packet, (size_t)n, &result) == 0 &&
		result.outcome == REQUEST_FAILED)
		snprintf(text, sizeof text, "no token: %.*s",
			(int)(sizeof text - sizeof "no token: "), result.text);
	end(request, text);
}

static void on_token(struct request_attempt *attempt)
{
	union {
		struct request_token token;
		struct request_result result;
		char more[sizeof(struct request_token) + sizeof(struct request_result)];
	} packet;
	struct token_request *request = attempt->context;
	struct request_token token;
	ssize_t n = request_attempt_receive(attempt, &packet, sizeof packet);

	if (n == -EAGAIN)
		return;
	if (n > 0 && request_decode_token(&packet, (size_t)n, &token) == 0) {
		token_source_keep(request->source, &token, clock_now_ms(&boot_clock));
		end(request, NULL);
	} else {
		fail(request, &packet, n);
	}
	explicit_bzero(&token, sizeof token);
	explicit_bzero(&packet, sizeof packet);
}

static int start_attempt(struct token_request *request, request_attempt_fn *readable)
{
	request->attempt = (struct request_attempt){.context = request, .fd = -1};
	return request_attempt_start(&request->attempt, request->base, &request->order, readable);
}

static int send_place(struct token_request *request)
{
	const struct token_source *source = request->source;
	struct request_token_order order = {.place = source->place, .names = request->names};
	int error;

	memcpy(order.bearer, source->bearer, sizeof order.bearer);
	error = request_attempt_send(&request->attempt, &order, sizeof order);
	explicit_bzero(&order, sizeof order);
	return error;
}

static int ask(struct token_request *request)
{
	int error;

	request->order.wants_token = 1;
	snprintf(request->order.ca_file, sizeof request->order.ca_file, "%s",
		request->source->authorities);
	error = start_attempt(request, on_token);
	if (error == 0)
		error = send_place(request);
	if (error < 0)
		token_request_cancel(request);
	return error;
}

static void on_names(struct request_attempt *attempt)
{
	union {
		struct request_names names;
		struct request_result result;
		char more[sizeof(struct request_names) + sizeof(struct request_result)];
	} packet;
	struct token_request *request = attempt->context;
	ssize_t n = request_attempt_receive(attempt, &packet, sizeof packet);

	if (n == -EAGAIN)
		return;
	if (n <= 0 || request_decode_names(&packet, (size_t)n, &request->names) < 0) {
		fail(request, &packet, n);
		return;
	}
	request_attempt_end(attempt);
	if (ask(request) < 0)
		end(request, "the process that gets a token cannot be started");
}

int token_request_start(struct token_request *request, const struct request_order *order)
{
	const char *host = request->source->place.server.host;

	request->order = *order;
	request->order.address = (struct ipv4){0};
	request->order.ca_file[0] = '\0';
	snprintf(request->order.server, sizeof request->order.server, "%s", host);
	request->names = (struct request_names){.n = 1};
	if (ipv4_parse(host, &request->names.addresses[0]) == 0)
		return ask(request);
	return start_attempt(request, on_names);
}

void token_request_cancel(struct token_request *request)
{
	if (request_attempt_runs(&request->attempt))
		request_attempt_end(&request->attempt);
}
