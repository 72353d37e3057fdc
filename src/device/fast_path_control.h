/*
 * Keeps the fast path of IPIP up to date with the peers' routes: all peers when links, addresses,
 * routes or the mark have changed, and now and then; one peer when a router says that its path has
 * become narrower. The control thread's.
 */
#pragma once

#include "device/device.h"

/* Before the sandbox; there is no fast path yet. Returns 0 or -errno. */
int fast_path_control_init(struct device *device);

/* For the device's local address, with all peers that are there. If the kernel refuses, that is
 * logged once, and tried again now and then. */
void fast_path_control_open(struct device *device);

/* Does what is due. */
void fast_path_control_run(struct device *device);
/* When to call fast_path_control_run() next, in ms of the clock; UINT64_MAX: when something
 * has changed. */
uint64_t fast_path_control_deadline(const struct device *device);
