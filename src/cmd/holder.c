/* `vprox holder`: a process that the server starts. */
#include "holder/holder.h"

#include <fcntl.h>
#include <stdio.h>

#include "cmd/command.h"
#include "ipc/holding.h"

int cmd_holder_main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1 || fcntl(HOLDER_FD_SERVER, F_GETFD) < 0 ||
		fcntl(HOLDER_FD_SOCKET, F_GETFD) < 0) {
		fprintf(stderr, "vprox holder: started by `vprox server`, not by hand\n");
		return STATUS_USAGE;
	}
	return holder_main();
}
