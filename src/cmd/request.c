/* `vprox request`: the process that asks a server, started by the client for each request. */
#include <fcntl.h>
#include <stdio.h>

#include "client/request_process.h"
#include "client/request_message.h"
#include "cmd/command.h"

int cmd_request_main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1 || fcntl(REQUEST_FD, F_GETFD) < 0) {
		fprintf(stderr, "vprox request: started by `vprox connect`, not by hand\n");
		return STATUS_USAGE;
	}
	return request_process_main();
}
