/* `vprox oidc`: a process that the server starts. */
#include <fcntl.h>
#include <stdio.h>

#include "cmd/command.h"
#include "ipc/issuer_fetch.h"
#include "oidc/oidc.h"

int cmd_oidc_main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1 || fcntl(ISSUER_FETCH_FD_BROKER, F_GETFD) < 0 ||
		fcntl(ISSUER_FETCH_FD_AUTHORITIES, F_GETFD) < 0) {
		fprintf(stderr, "vprox oidc: started by `vprox server`, not by hand\n");
		return STATUS_USAGE;
	}
	return oidc_main();
}
