/* Looks at the data plane now and then: who has been silent for too long goes, what has vanished is
 * collected, what others have changed is put right. */
#pragma once

#include "server/peers.h"

struct endpoint;

/*
 * Reads the usage of an endpoint's peers, and does nothing about it. Returns 0 or what the plane's
 * dump() does.
 */
int reaper_read(struct endpoint *endpoint);

/*
 * One look at one endpoint: reads its peers' usage, and queues those whose time is up for removal.
 * If the plane cannot be read, nobody is removed until it can. Logs what goes wrong.
 */
void reaper_look(struct endpoint *endpoint, const struct idle_rule *rule);
