/* `vprox check SERVER`: its part of the command line, and what it prints. */
#pragma once

#include <stdbool.h>

#include "client/config.h"

struct check_reach_options {
	struct client_config client; /* first */
	unsigned int tunnels; /* enum reach_tunnels */
	bool json;
};

/* Returns the exit status. */
int check_reach(struct check_reach_options *options, const char *server);
