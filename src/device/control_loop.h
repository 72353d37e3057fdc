/* What the control thread does each time that it wakes, and until when it may sleep. */
#pragma once

#include "device/device.h"

/* After the wake eventfd, or control_loop_timeout_ms(). Returns false when the TUN device is gone.
 */
bool control_loop_run(struct device *device);
/* ms from now, -1 for ever. */
int control_loop_timeout_ms(const struct device *device);
