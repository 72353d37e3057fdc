/* vprox connect: one tunnel to one server, kept up. */
#pragma once

#include "client/config.h"

/* Runs until a signal stops it, or until trying again is of no use. Logs what goes wrong. Returns 0
 * or a negative errno. */
int client_run(const struct client_config *config);
