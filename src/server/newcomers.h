/*
 * WireGuard peers that have asked for a tunnel and not shaken hands since. Where such a peer is
 * shows with its handshake, and must be known before its device is lost: an inspection may be
 * seconds away. So the usage of the peers is read 0.2 s after a request, and again at growing
 * intervals, for 6 s at the most after the last request; of very many peers less often, since
 * reading them takes long.
 */
#pragma once

#include <stdbool.h>

struct endpoint;
struct event_base;
struct newcomers;
struct peer;

/* Returns 0 or -ENOMEM. base: NULL in a test, which calls newcomers_judge() itself. */
int newcomers_init(struct newcomers *newcomers, struct endpoint *endpoint, struct event_base *base);
void newcomers_free(struct newcomers *newcomers);

/* The peer has just been given its address. Only WireGuard's are waited for. */
void newcomers_add(struct newcomers *newcomers, struct peer *peer);

/* The usage was read, or could not be. Returns whether it is to be read again, before the next
 * inspection does it. */
bool newcomers_judge(struct newcomers *newcomers, int error);
