/* `vprox gate`: one process of those that face the Internet, started by the server. */
#include <fcntl.h>
#include <stdio.h>

#include "cmd/command.h"
#include "gate/gate.h"
#include "ipc/gate_config.h"

int cmd_gate_main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1 || fcntl(GATE_FD_BROKER, F_GETFD) < 0 || fcntl(GATE_FD_CONFIG, F_GETFD) < 0) {
		fprintf(stderr, "vprox gate: started by `vprox server`, not by hand\n");
		return STATUS_USAGE;
	}
	return gate_main();
}
