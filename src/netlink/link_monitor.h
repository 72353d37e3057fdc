/*
 * Which interfaces have gone: the kernel's own notices (RTNLGRP_LINK), kept in the socket's queue
 * until they are asked for. Whoever remembers an interface by its ifindex must ask before believing
 * that it still is the same: a number can be given to another one.
 */
#pragma once

struct link_monitor;

/* Notices are kept from now on. Returns 0 or a negative errno. */
int link_monitor_open(struct link_monitor **monitor);
/* NULL is fine. */
void link_monitor_close(struct link_monitor *monitor);

/* Readable when there is a notice, for an event loop. */
int link_monitor_fd(const struct link_monitor *monitor);

typedef void link_gone_fn(void *context, unsigned int ifindex);

/*
 * Calls back for every interface that has gone since the last call; does not block. -ENOBUFS: there
 * were more than the queue could hold; those that are known have been called back for, of the
 * others, only a dump of all interfaces shows which they are.
 */
int link_monitor_read(struct link_monitor *monitor, link_gone_fn *gone, void *context);
