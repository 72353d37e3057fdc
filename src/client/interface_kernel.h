/* Interfaces of the kernel's own WireGuard and IPIP. */
#pragma once

#include "client/interface_kind.h"

extern const struct interface_kind interface_kernel_wireguard;
extern const struct interface_kind interface_kernel_ipip;
