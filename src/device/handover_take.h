/*
 * A process takes a device over from another one (handover_messages.h), step by step; what fails
 * before the last step leaves the device where it is. The control thread's.
 */
#pragma once

#include "device/device.h"
#include "device/handover_channel.h"
#include "device/handover_files.h"
#include "device/handover_restore.h"

struct handover_take {
	struct handover_channel channel;
	struct handover_restore restore;
	struct handover_device description; /* with the private key */
	struct handover_device_files device;
	struct handover_files files;
};

/* Each returns 0 or -errno. */

/* Asks at the path, for as long as the device is busy with a request, for HANDOVER_STEP_MS at the
 * most; receives what the device is made of. -EXDEV: it is in another network namespace. */
int handover_take_begin(struct handover_take *take, const char *path);
/* Its peers, once the device has its tables. */
int handover_take_peers(struct handover_take *take, struct device *device);
/* All is ready: from here on no worker of the old process carries packets. */
int handover_take_sessions(struct handover_take *take);
/* Whose the device is. 0: this process's. */
int handover_take_finish(struct handover_take *take);
/* Wipes. */
void handover_take_free(struct handover_take *take);
