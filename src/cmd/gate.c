/* `vprox gate`: one process of those that face the Internet, started by the server. */
#include "cmd/command.h"
#include "cmd/started_by.h"
#include "gate/gate.h"
#include "ipc/gate_config.h"

int cmd_gate_main(int argc, char **argv)
{
	if (!is_started_by("server", argc, argv, GATE_FD_BROKER, GATE_FD_CONFIG))
		return STATUS_USAGE;
	return gate_main();
}
