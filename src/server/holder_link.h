/* Our own holder (holder/holder.h): it has copies of the listening sockets, for the next server. */
#pragma once

#include <stdint.h>

#include "base/ipv4.h"
#include "ipc/report.h"

struct event_base;
struct holder_link;

struct holder_link_config {
	uint32_t user, group; /* whom it runs as */
	/* A holder has been started in place of one that has ended: it has nothing yet. */
	void (*on_restarted)(void *context);
	/* It can be found by the next server: one of an earlier server's is needed no longer. */
	void (*on_ready)(void *context);
	void *context;
};

/* Starts it. Returns 0 or -errno. */
int holder_link_new(struct event_base *base, const struct holder_link_config *config,
	struct holder_link **link);

/* Has it hold a listener, which stays the caller's, and hold it no longer. Log what goes wrong.
 */
void holder_link_hold(struct holder_link *link, int fd, struct ipv4 address, unsigned short port);
void holder_link_drop(struct holder_link *link, struct ipv4 address, unsigned short port);

/* How it is: its pid stays 0, as it is no child of this process. */
struct report_process holder_link_process(const struct holder_link *link);

/* None is started any more in place of one that ends. */
void holder_link_retire(struct holder_link *link);

/* Has it close what it has, and exit. */
void holder_link_end(struct holder_link *link);

/* Lets go of it: it goes on for some seconds, unless it was to end. NULL is fine. */
void holder_link_free(struct holder_link *link);
