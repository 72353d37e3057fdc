/* vprox connect: one tunnel to one server, kept up. */
#pragma once

#include "client/config.h"

/* Runs until it is told to stop, or for good reason does by itself. Logs what goes wrong. Returns 0
 * or a negative errno. */
int client_run(const struct client_config *config);
