/*
 * Which name servers this host asks while there is a tunnel: those of --dns, or, if everything is
 * routed, those that the server announces and that are reached through the tunnel. By resolvectl(1)
 * where systemd-resolved is asked, else by a resolv.conf of our own.
 */
#pragma once

#include <stdbool.h>

#include "client/config.h"

struct name_servers;

/* Takes back what an earlier client has left. Returns 0 or -ENOMEM. */
int name_servers_open(const struct client_config *config, struct name_servers **servers);

/*
 * Sets them, for the interface; what is so already is left as it is. announced: by the server.
 * Where none are to be set, the first call logs which ones are asked, and which way. What fails is
 * logged, once.
 */
void name_servers_set(
	struct name_servers *servers, unsigned int ifindex, const struct resolvers *announced);

/* Frees; puts back what was before unless it is to be kept. NULL is fine. */
void name_servers_close(struct name_servers *servers, bool keep);
