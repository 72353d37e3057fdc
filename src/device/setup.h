/* The beginning and the end of a device. */
#pragma once

#include "device/device.h"

enum {
	DEVICE_MTU = 1420, /* of the TUN; wg-quick sets another */
	DEVICE_QUEUE = 1000, /* packets */
};

/* Makes the interface, which goes with the process. "wg%d": the kernel puts a number there, and
 * device->shared.tun.name tells the name. 0 workers: one a core. Returns 0 or -errno; then
 * device_free() must not be called. */
int device_make_interface(struct device *device, const char *name, unsigned int n_workers);
/* Starts the privileged helper, which unlinks uapi_path at the end, and opens everything else.
 * Returns 0 or -errno; then likewise. */
int device_init(struct device *device, const char *uapi_path);
/* Whom the device becomes, if there is such a user: as user_find_own(). No other process is his, so
 * that none of those that talk to strangers can end a device. */
#define DEVICE_USER "vprox-device"

/* Starts the workers, and gives up all rights. Returns 0 or -errno. */
int device_start(struct device *device);
void device_free(struct device *device);
