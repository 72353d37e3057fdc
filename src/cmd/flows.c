/* `vprox flows`: a process that the server starts. */
#include "cmd/command.h"
#include "cmd/started_by.h"
#include "ipc/flow_process.h"
#include "flows/flows.h"

int cmd_flows_main(int argc, char **argv)
{
	if (!is_started_by("server", argc, argv, FLOWS_FD_BROKER, FLOWS_FD_EVENTS))
		return STATUS_USAGE;
	return flows_main();
}
