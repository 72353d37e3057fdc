/*
 * A device hands all that it has to another process (handover_messages.h), or goes on as if nothing
 * had been. The control thread's, which does nothing else meanwhile: for HANDOVER_STEP_MS at the
 * most where the other process stands still. While packets are carried by nobody they wait in the
 * TUN's queues and in the sockets.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "device/device.h"
#include "device/handover_files.h"

/*
 * Over a connection, which is taken over, to process pid. busy: ask it to try again soon. Returns
 * 0: the device is the other process's, and this one must not send or receive anything more; or
 * -errno: it is this one's, and everything is as it was. It is logged which.
 */
int handover_give(struct device *device, const struct handover_files *files, int connection,
	pid_t pid, bool busy);
