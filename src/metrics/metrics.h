/* The process that serves the server's metrics over HTTP: --metrics. */
#pragma once

/* What it is started with is in ipc/metrics_process.h. Returns its exit status. */
int metrics_main(void);
