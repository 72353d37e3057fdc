/* Where a device is with the timestamps of its handshakes. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct plane_device;

/* plane_ops.timestamp */
int embedded_timestamp(struct plane_device *device, uint64_t *ns);

/* Whether the device of this name was told of none yet, nor has sent any, and can be told. One that
 * was told that there is none has been told. */
bool timestamp_is_to_be_told(const char *name);
