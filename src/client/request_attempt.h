/* A request process, from the client's side: it looks a name up, or asks at one address. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/ipv4.h"

struct event;
struct event_base;
struct request_attempt;
struct request_order;

/* There is something to be read from it, or it has ended. */
typedef void request_attempt_fn(struct request_attempt *attempt);

struct request_attempt {
	struct ipv4 address; /* 0.0.0.0: of the name's look-up */
	void *context; /* the caller's */

	request_attempt_fn *readable;
	struct event *event;
	int fd;
	pid_t pid; /* 0: it does not run */
};

/* Starts the process and gives it the order. The attempt's address and context are set; the rest is
 * zero. Returns 0 or -errno; then nothing runs. */
int request_attempt_start(struct request_attempt *attempt, struct event_base *base,
	const struct request_order *order, request_attempt_fn *readable);
bool request_attempt_runs(const struct request_attempt *attempt);

/* A message of it. Returns its length, 0 if it has ended, or -errno: -EAGAIN, there is none yet. */
ssize_t request_attempt_receive(struct request_attempt *attempt, void *packet, size_t size);
/* Never waits: it may not be read. Returns 0 or -errno. */
int request_attempt_send(struct request_attempt *attempt, const void *packet, size_t size);

/* Ends it, if it runs. */
void request_attempt_end(struct request_attempt *attempt);
