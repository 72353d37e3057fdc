/* `vprox metrics`: a process that the server starts. */
#include "cmd/command.h"
#include "cmd/started_by.h"
#include "ipc/metrics_process.h"
#include "metrics/metrics.h"

int cmd_metrics_main(int argc, char **argv)
{
	if (!is_started_by("server", argc, argv, METRICS_FD_BROKER, METRICS_FD_LISTENER))
		return STATUS_USAGE;
	return metrics_main();
}
