/* Interfaces of a userspace device. */
#pragma once

#include "client/interface_kind.h"

extern const struct interface_kind interface_embedded_wireguard;
extern const struct interface_kind interface_embedded_ipip;
