/* The gate: one process of those that face the Internet. */
#pragma once

/*
 * Runs a gate on the file descriptors of ipc/gate_config.h until the broker tells it to drain or
 * goes away. Returns the exit status of the process.
 */
int gate_main(void);
