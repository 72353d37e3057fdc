/* The program vprox-store, which the server starts. It is one of its own so that no other process
 * has the libraries of a database in it. */
#include <fcntl.h>
#include <stdio.h>

#include "ipc/storing.h"
#include "store/store.h"

enum {
	STATUS_USAGE = 2,
};

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1 || fcntl(STORE_FD_BROKER, F_GETFD) < 0) {
		fprintf(stderr, "vprox-store: started by `vprox server`, not by hand\n");
		return STATUS_USAGE;
	}
	return store_main();
}
