/*
 * Inspecting an endpoint now and then: who has been silent for too long goes, what has vanished is
 * collected, a lost device is made again, what others have changed is put right.
 */
#pragma once

struct endpoint;
struct idle_rule;

/*
 * One inspection: reads the peers' usage, makes a lost device again, has the plane put right what
 * others have changed, and queues those whose time is up for removal. If the plane cannot be read,
 * nobody is removed until it can. Logs what goes wrong.
 */
void endpoint_inspect(struct endpoint *endpoint, const struct idle_rule *rule);
