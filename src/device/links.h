/*
 * What the device hears of interfaces, addresses, routes and policy rules: whether its own
 * interface is up, its MTU, and that routes to peers may have changed. The control thread's.
 */
#pragma once

#include <stdint.h>

#include "device/device.h"

/* Opens device->links, and finds the TUN's ifindex. Returns 0 or -errno. */
int links_open(struct device *device);
/* Likewise for a TUN that another process has opened, of that ifindex; 0: it has gone to another
 * namespace. */
int links_open_adopted(struct device *device, unsigned int interface);
/* What may have changed before it listened: reads its own link. */
void links_refresh(struct device *device);
/* It is readable. */
void links_read(struct device *device);

/* Tells the workers that routes have changed, if it is due. */
void links_run(struct device *device);
/* When to call links_run() next, in ms of the clock; UINT64_MAX: when something has changed. */
uint64_t links_deadline(const struct device *device);

/* The ifindex of another interface, by its name. Returns 0, -ENODEV or another negative errno. */
int links_find(struct device *device, const char *name, uint32_t *ifindex);

/* The TUN's MTU, and with it the longest super-packet. Returns 0 or -errno. */
int links_set_mtu(struct device *device, uint32_t mtu);
/* What somebody else tells of it. Where the interface can be seen, nobody need: it does not count.
 */
void links_be_told_mtu(struct device *device, uint32_t mtu);
