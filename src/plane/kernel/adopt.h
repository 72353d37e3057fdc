/* Taking over the peers that are there. Both remove and log what does not match. */
#pragma once

#include "plane/kernel/device.h"

struct link;
struct wireguard_device;

int kernel_adopt_wireguard(struct kernel_device *device, const struct wireguard_device *dump);
/* To be called after the other: if both kinds hold an address, it is the WireGuard peer's. */
int kernel_adopt_ipip(struct kernel_device *device, const struct link *links, size_t n);
