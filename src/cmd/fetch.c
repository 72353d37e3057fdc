#include <fcntl.h>
#include <stdio.h>

#include "client/request_process.h"
#include "client/request_message.h"
#include "cmd/command.h"

int cmd_fetch_main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1 || fcntl(FETCH_FD, F_GETFD) < 0) {
		fprintf(stderr, "vprox fetch: started by `vprox connect`, not by hand\n");
		return STATUS_USAGE;
	}
	return fetch_main();
}
