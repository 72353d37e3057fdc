/*
 * The broker's end of the process that writes the flow log (--flow-log): opens the file and the
 * socket that the kernel tells of ended flows by, starts the process. Never waits for it.
 * owner_feed.h tells it who has which inner address.
 */
#pragma once

#include <stdint.h>

#include "base/ipv4.h"
#include "ipc/report.h"

struct child;
struct endpoint_list;
struct event_base;
struct flow_link;
struct owner_feed;

struct flow_link_config {
	const char *path; /* kept by reference */
	struct prefix block; /* that all inner addresses are in */
	uint32_t user, group; /* whom the process runs as */
	uint32_t log_level, log_format;
};

/* Opens the file. Logs. Returns 0 or -errno. */
int flow_link_open(struct event_base *base, const struct flow_link_config *config,
	const struct endpoint_list *endpoints, struct flow_link **link);
/* Once the firewall is loaded and peers are adopted: switches on what it needs of the kernel, and
 * starts the process; where that fails, which is logged, it is tried again now and then: tunnels
 * do not wait for it. NULL is fine, here and below. */
void flow_link_start(struct flow_link *link);
/* To be called every few seconds: whether the kernel's settings are as they were set. */
void flow_link_look(struct flow_link *link);
/* Opens the file again, which logrotate(8) has moved away. What cannot be opened again stays as it
 * is. Logs. */
void flow_link_reopen(struct flow_link *link);
/* Lets it write what has come, for a second at the most, ends it, and frees. */
void flow_link_free(struct flow_link *link);

/* Whom peers that begin and end are told to. */
struct owner_feed *flow_link_owners(const struct flow_link *link);

/* NULL: it is not there. */
const struct child *flow_link_process(const struct flow_link *link);
void flow_link_describe(const struct flow_link *link, struct report_flows *reported);
