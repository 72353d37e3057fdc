/* `vprox flows`: a process that the server starts. */
#include <fcntl.h>
#include <stdio.h>

#include "cmd/command.h"
#include "ipc/flow_process.h"
#include "flows/flows.h"

int cmd_flows_main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1 || fcntl(FLOWS_FD_BROKER, F_GETFD) < 0 ||
		fcntl(FLOWS_FD_EVENTS, F_GETFD) < 0) {
		fprintf(stderr, "vprox flows: started by `vprox server`, not by hand\n");
		return STATUS_USAGE;
	}
	return flows_main();
}
