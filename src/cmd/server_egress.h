/* `vprox server`: the options that say what tunnels may reach. */
#pragma once

#include "cmd/command.h"

/* --allow-to, --deny-to, --allow-to-host, --allow-protocol. The field is a struct egress_policy. */
option_parser server_allow_to, server_deny_to, server_allow_to_host, server_allow_protocol;
