/* What `vprox server` is told of the cloud that its host is in: parsers for its table, and a check
 * when all is read. */
#pragma once

#include "cmd/command.h"

struct config_file;
struct server_config;

/* Their fields are the whole struct server_config. */
option_parser server_parse_cloud, server_parse_region, server_parse_internal_network;

/* Whether it goes together with the rest. Returns 0, or -EINVAL, said. */
int server_check_cloud(const struct server_config *config);
/* Where it is reported what is served: of the file, or else of the environment, which is wiped.
 * Returns 0, or -EINVAL, said. */
int server_read_backend(const struct config_file *settings, struct server_config *config);
/* Warns of what has no effect as it was given. */
void server_warn_of_cloud(const struct server_config *config);
