/* `vprox cloud`: a process that the server starts. */
#include "cloud/cloud.h"
#include "cmd/command.h"
#include "cmd/started_by.h"
#include "ipc/cloud.h"

int cmd_cloud_main(int argc, char **argv)
{
	if (!is_started_by("server", argc, argv, CLOUD_FD_BROKER, CLOUD_FD_BROKER))
		return STATUS_USAGE;
	return cloud_main();
}
