/* The client's side of a request: starts the process that asks, decides whether the server is the
 * right one, receives the result. One request at a time. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/config.h"
#include "client/request_message.h"

struct event;
struct event_base;

/* Called once for each request that was started and not cancelled. */
typedef void request_result_fn(void *context, const struct request_result *result);

struct request_supervisor {
	const struct client_config *config;
	struct event_base *base;
	request_result_fn *on_result;
	void *context;
	uid_t user; /* whom the process runs as */
	gid_t group;
	struct key public_key;
	uint32_t mark;

	pid_t pid; /* 0: there is none */
	int fd;
	struct event *readable, *timeout;
	bool is_trusted; /* the server: it is told once who that is */
	struct request_result result; /* so far */
};

/* Fills in the user: as user_find(NULL). 0 or -errno, logged. */
int request_supervisor_find_user(struct request_supervisor *supervisor);

/*
 * Asks for a path. address: where the server was last, 0.0.0.0 to look its name up. What fails
 * comes out as a result too, later.
 */
void request_supervisor_start(struct request_supervisor *supervisor, const char *path,
	struct ipv4 address, unsigned int time_ms);

/* Ends the process, if there is one. */
void request_supervisor_cancel(struct request_supervisor *supervisor);
