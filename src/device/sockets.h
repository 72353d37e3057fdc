/* The device's sockets: one of each family for each worker, and the raw ones of IPIP. The control
 * thread's. */
#pragma once

#include "device/device.h"

/* On a port that the kernel chooses; no raw ones. Returns 0 or -errno. */
int sockets_init(struct device *device);
/* Goes on with those that another process has opened, a number for each worker; -1: none. Returns 0
 * or -ENOMEM. */
int sockets_adopt(struct device *device, const int *udp4, const int *udp6);
void sockets_free(struct device *device);

/* The following return 0 or a negative errno, and change nothing then. */

/* 0: one that the kernel chooses. Host byte order. */
int device_set_port(struct device *device, uint16_t port);
/* The firewall mark of all outer packets; 0: none. */
int device_set_mark(struct device *device, uint32_t mark);
/* Opens the raw sockets on this address, or moves them there, and the fast path. From then on
 * WireGuard is sent from it too, and from nowhere else. */
int device_set_ipip_local(struct device *device, struct in_addr local);
