/* The beginning and the end of a device. */
#pragma once

#include "device/device.h"
#include "device/handover_files.h"
#include "device/handover_messages.h"

enum {
	DEVICE_MTU = 1420, /* of the TUN; wg-quick sets another */
	DEVICE_QUEUE = 1000, /* packets */
};

/*
 * A device is made with device_make_interface(), device_init(), device_start() and device_begin();
 * or it is taken over from another process with device_adopt(), what handover_take.h reads,
 * device_adopt_fast_path(), device_start() and device_go_on(). Those that return int return 0 or
 * -errno; then device_free() must not be called.
 */

/* Makes the interface, which goes with the process. "wg%d": the kernel puts a number there, and
 * device->shared.tun.name tells the name. 0 workers: one a core. */
int device_make_interface(struct device *device, const char *name, unsigned int n_workers);
/* Starts the privileged helper, which unlinks both paths at the end, and opens everything else. */
int device_init(struct device *device, const char *const paths[PRIVILEGED_HELPER_PATHS]);

/* Tables for what another process has told, and the files that it has given, which are then the
 * device's. No peers. */
int device_adopt(struct device *device, const struct handover_device *description,
	const struct handover_device_files *files,
	const char *const paths[PRIVILEGED_HELPER_PATHS]);
/* After the peers: the fast path goes on with what it has of them. Its programs are the helper's
 * then, and closed here. */
int device_adopt_fast_path(struct device *device, const struct handover_device *description,
	const struct handover_device_files *files);

/* Whom the device becomes, if there is such a user: as user_find_own(). No other process is his, so
 * that none of those that talk to strangers can end a device. */
#define DEVICE_USER "vprox-device"

/* Starts the workers' threads, which stand still, and gives up all rights. */
int device_start(struct device *device);
/* From now on packets are carried: by a device that is new; by one that another process had. */
void device_begin(struct device *device);
void device_go_on(struct device *device);

void device_free(struct device *device);
/* Frees and wipes what this process has of a device that another process goes on with. */
void device_leave(struct device *device);
