/*
 * The broker's end of the process that serves metrics (--metrics): opens its listening socket,
 * starts it, and gives it a report when it asks, which is not more often than a few times a second.
 */
#pragma once

#include <stdint.h>
#include <sys/socket.h>

#include "ipc/report.h"

struct child;
struct evbuffer;
struct event_base;
struct metrics_link;

struct metrics_link_config {
	const char *text; /* the address and port, for the log; the caller's */
	const struct sockaddr *address; /* the caller's */
	socklen_t address_length;
	uint32_t user, group; /* whom the process runs as */
	uint32_t log_level, log_format;
	/* Appends a report. Returns 0 or -errno. */
	int (*report)(void *context, enum report_extent extent, struct evbuffer *out);
	void *context;
};

/* Opens the socket and starts the process; where that fails, which is logged, it is tried again
 * now and then: tunnels do not wait for it. Returns 0 or -ENOMEM. */
int metrics_link_new(struct event_base *base, const struct metrics_link_config *config,
	struct metrics_link **link);
/* NULL: it is not there. */
const struct child *metrics_link_process(const struct metrics_link *link);
/* Ends the process, and frees. NULL is fine. */
void metrics_link_free(struct metrics_link *link);
