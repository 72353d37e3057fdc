/* Checks how a process was started that vprox starts itself. Runs in each of them, before anything
 * else. */
#include "cmd/started_by.h"

#include <fcntl.h>
#include <stdio.h>

static bool are_open(int first, int last)
{
	for (int fd = first; fd <= last; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			return false;
	return true;
}

bool is_started_by(const char *parent, int argc, char **argv, int first, int last)
{
	if (argc == 1 && are_open(first, last))
		return true;
	fprintf(stderr, "vprox %s: started by `vprox %s`, not by hand\n", argv[0], parent);
	return false;
}
