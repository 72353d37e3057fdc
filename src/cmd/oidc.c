/* `vprox oidc`: a process that the server starts. */
#include "cmd/command.h"
#include "cmd/started_by.h"
#include "ipc/issuer_fetch.h"
#include "oidc/oidc.h"

int cmd_oidc_main(int argc, char **argv)
{
	if (!is_started_by(
		    "server", argc, argv, ISSUER_FETCH_FD_BROKER, ISSUER_FETCH_FD_AUTHORITIES))
		return STATUS_USAGE;
	return oidc_main();
}
