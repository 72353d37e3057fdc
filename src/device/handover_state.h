/* What is the same for who writes the state of a device into records, and who reads it. The control
 * thread's. */
#pragma once

#include "device/device.h"
#include "device/handover_messages.h"

/* The counters of drops, in the order of handover_counters.drops. NULL: no more of them. */
_Atomic uint64_t *handover_drops_place(struct device *device, unsigned int number);
uint64_t *handover_control_drops_place(struct device *device, unsigned int number);

void handover_endpoint_write(const struct udp_endpoint *from, struct handover_endpoint *to);
void handover_endpoint_read(const struct handover_endpoint *from, struct udp_endpoint *to);
