/*
 * The device's side of the short way of IPIP (ipip_program.h): which peers can take it, by what
 * the kernel's routing says of the way to each. Where it cannot be had, all goes by the raw socket.
 * The control thread's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "device/device.h"

struct ipip_usage {
	uint64_t sent, received; /* bytes */
	uint64_t active_ms; /* of the system clock, 0: never */
};

/* Opens what it needs while it still may. Returns 0 or -errno. */
int short_way_init(struct device *device);
void short_way_free(struct device *device);

/* For this local address, with all peers that are there. Says once in the log if there is none. */
void short_way_open(struct device *device);
void short_way_close(struct device *device);

void short_way_add(struct device *device, const struct ipip_target *target);
void short_way_remove(struct device *device, const struct ipip_target *target);
/* Routes, addresses or links have changed: looks at all peers anew. */
void short_way_refresh(struct device *device);
/* Looks anew at the peers on whose way a router has said something: that it is narrower. */
void short_way_read_errors(struct device *device);

/* What has moved through the peer, on both ways. */
struct ipip_usage short_way_usage(const struct device *device, const struct ipip_target *target);
