/* The device's sockets: one of each family for each worker. */
#pragma once

#include "device/device.h"

/* On a port that the kernel chooses. Returns 0 or -errno. */
int sockets_init(struct device *device);
void sockets_free(struct device *device);
