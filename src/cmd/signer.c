/* `vprox signer`: a process that the server starts. */
#include "cmd/command.h"
#include "cmd/started_by.h"
#include "ipc/signing.h"
#include "signer/signer.h"

int cmd_signer_main(int argc, char **argv)
{
	if (!is_started_by("server", argc, argv, SIGNER_FD_BROKER, SIGNER_FD_KEY))
		return STATUS_USAGE;
	return signer_main();
}
