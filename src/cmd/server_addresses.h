/* `vprox server`: the options that name addresses, and whether they fit together. */
#pragma once

#include "cmd/command.h"

struct server_config;

/* --ip, --follow, --wg-block, --wg-block-per-ip. The field is the whole struct server_config. */
option_parser server_add_ip, server_add_followed, server_parse_block, server_parse_block_length;

/* Checks them when all are read, and fills in the length of a block where none is given. Returns 0,
 * or -EINVAL once it has written what is wrong. */
int server_check_addresses(struct server_config *config);
