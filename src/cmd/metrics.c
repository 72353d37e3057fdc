/* `vprox metrics`: a process that the server starts. */
#include <fcntl.h>
#include <stdio.h>

#include "cmd/command.h"
#include "ipc/metrics_process.h"
#include "metrics/metrics.h"

int cmd_metrics_main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1 || fcntl(METRICS_FD_BROKER, F_GETFD) < 0 ||
		fcntl(METRICS_FD_LISTENER, F_GETFD) < 0) {
		fprintf(stderr, "vprox metrics: started by `vprox server`, not by hand\n");
		return STATUS_USAGE;
	}
	return metrics_main();
}
