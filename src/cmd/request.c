/* `vprox request`: the process that asks a server, started by the client for each request. */
#include "client/request_process.h"
#include "client/request_message.h"
#include "cmd/command.h"
#include "cmd/started_by.h"

int cmd_request_main(int argc, char **argv)
{
	if (!is_started_by("connect", argc, argv, REQUEST_FD, REQUEST_FD))
		return STATUS_USAGE;
	return request_process_main();
}
