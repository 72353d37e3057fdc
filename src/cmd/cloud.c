/* `vprox cloud`: a process that the server starts. */
#include <fcntl.h>
#include <stdio.h>

#include "cloud/cloud.h"
#include "cmd/command.h"
#include "ipc/cloud.h"

int cmd_cloud_main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1 || fcntl(CLOUD_FD_BROKER, F_GETFD) < 0) {
		fprintf(stderr, "vprox cloud: started by `vprox server`, not by hand\n");
		return STATUS_USAGE;
	}
	return cloud_main();
}
