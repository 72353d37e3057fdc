/* vprox connect: one tunnel to one server, kept up. */
#pragma once

#include "client/client_end.h"
#include "client/config.h"

/* Runs until a signal stops it, until trying again is of no use, or until there was no tunnel in
 * time. Logs what goes wrong. */
enum client_end client_run(const struct client_config *config);
