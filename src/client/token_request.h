/* Gets a token for the client to show: looks up the name of who gives it, and asks there, each by a
 * process of its own. One at a time. */
#pragma once

#include "client/request_attempt.h"
#include "client/request_message.h"

struct event_base;
struct token_source;

/* fault: why there is none, NULL: the source has it. */
typedef void token_request_fn(void *context, const char *fault);

/* Zeroed, none is under way. */
struct token_request {
	struct token_source *source;
	struct event_base *base;
	token_request_fn *on_end;
	void *context;
	struct request_order order;
	struct request_names names;
	struct request_attempt attempt;
};

/* order: user, mark and log of the processes. on_end is called later, unless it is cancelled
 * before. Returns 0 or -errno; then nothing runs. */
int token_request_start(struct token_request *request, const struct request_order *order);

/* Ends the process, if there is one. */
void token_request_cancel(struct token_request *request);
