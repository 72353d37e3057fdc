/* `vprox signer`: a process that the server starts. */
#include <fcntl.h>
#include <stdio.h>

#include "cmd/command.h"
#include "ipc/signing.h"
#include "signer/signer.h"

int cmd_signer_main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1 || fcntl(SIGNER_FD_BROKER, F_GETFD) < 0 || fcntl(SIGNER_FD_KEY, F_GETFD) < 0) {
		fprintf(stderr, "vprox signer: started by `vprox server`, not by hand\n");
		return STATUS_USAGE;
	}
	return signer_main();
}
