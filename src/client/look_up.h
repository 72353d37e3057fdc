/*
 * The look-up of the server's name: in /etc/hosts, then by DNS at the host's own name servers, over
 * marked sockets, which no route and no block of --route is about. So a server that has moved is
 * found while everything else is blocked, and nobody else's question has to pass for that. What
 * other sources nsswitch.conf(5) has are not asked.
 */
#pragma once

#include <stdint.h>

#include "client/request_message.h"

struct look_up;

/* Opens the sockets, with that mark (0: none), which needs a right. Returns 0 or -errno. */
int look_up_open(uint32_t mark, struct look_up **look_up);

/*
 * Finds the IPv4 addresses of a name. Reads resolv.conf(5) and /etc/hosts, and gives up every
 * system call but those on the sockets before it asks: the process can do nothing else afterwards.
 * Returns 0, or -errno with why, for the log.
 */
int look_up_run(struct look_up *look_up, const char *name, struct request_names *names, char *why,
	size_t size);

/* Frees. NULL is fine. */
void look_up_close(struct look_up *look_up);
