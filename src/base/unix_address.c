/* Makes the address of a Unix socket. Runs in whoever listens on one, or connects to one. */
#include "base/unix_address.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

int unix_address(const char *path, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof address->sun_path)
		return -ENAMETOOLONG;
	strcpy(address->sun_path, path);
	return 0;
}
