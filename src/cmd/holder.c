/* `vprox holder`: a process that the server starts. */
#include "holder/holder.h"

#include "cmd/command.h"
#include "cmd/started_by.h"
#include "ipc/holding.h"

int cmd_holder_main(int argc, char **argv)
{
	if (!is_started_by("server", argc, argv, HOLDER_FD_SERVER, HOLDER_FD_SOCKET))
		return STATUS_USAGE;
	return holder_main();
}
