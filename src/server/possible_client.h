/* Which addresses an IPIP tunnel can lead to. */
#pragma once

#include <stdbool.h>

#include "base/ipv4.h"

struct server_config;

/* Whether a tunnel to this address could work: not to a serving address, an inner one, or one that
 * is no host's (RFC 1122, 3.2.1.3). */
bool is_possible_client(const struct server_config *config, struct ipv4 address);
