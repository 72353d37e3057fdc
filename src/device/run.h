/* The device's process, from its arguments to its end. */
#pragma once

#include <stdbool.h>

struct device_run_options {
	const char *name; /* of the interface; in "wg%d" the kernel puts a number */
	unsigned int workers; /* 0: one a core */
	bool no_bpf; /* IPIP by the raw socket alone */
	bool replace; /* take the device over from the process that has it */
	bool foreground; /* else the caller's process ends when the device is ready */
};

/* Returns the exit status: 0 after a signal, or when the interface was deleted or the control
 * socket removed. */
int device_process(const struct device_run_options *options);
