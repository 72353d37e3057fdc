/* A device's state, written into records (handover_messages.h). Nothing of it is changed. The
 * control thread's. Both return 0 or -errno. */
#pragma once

#include "device/device.h"
#include "device/handover_channel.h"

/* What only the control thread changes, while workers go on: peers and their prefixes. */
int handover_save_peers(struct handover_channel *to, struct device *device);

/* What packets change: all workers stand still. */
int handover_save_sessions(struct handover_channel *to, struct device *device);
