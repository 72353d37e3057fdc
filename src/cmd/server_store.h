/* `vprox server`: the options about the store, and whether they go together. */
#pragma once

#include "cmd/command.h"

struct server_config;

/* local, none, or etcd://HOST:PORT[,HOST:PORT]/FLEET. */
option_parser server_parse_store;
/* A time, or "none", which is 0. */
option_parser server_parse_history;

/* Returns 0 or -EINVAL; what is wrong has been written. */
int server_check_store(const struct server_config *config);
