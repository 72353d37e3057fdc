/* What can be asked of a server over HTTPS, without a tunnel. */
#pragma once

#include <stdbool.h>

#include "client/config.h"
#include "client/reach_result.h"

/*
 * Names, TCP and TLS, the server's key, NAT on the way, the password. *pin: the server's key.
 * Returns whether a tunnel can be asked for.
 */
bool reach_ask_server(
	const struct client_config *config, struct pin *pin, struct reach_result *result);
