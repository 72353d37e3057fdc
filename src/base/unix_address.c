/* Makes the address of a Unix socket, and binds one there. Runs in whoever listens on one, or
 * connects to one. */
#include "base/unix_address.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int unix_address(const char *path, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof address->sun_path)
		return -ENAMETOOLONG;
	strcpy(address->sun_path, path);
	return 0;
}

static int bind_masked(int fd, const struct sockaddr_un *address, mode_t mask)
{
	mode_t before = umask(mask);
	int error = bind(fd, (const struct sockaddr *)address, sizeof *address) < 0 ? -errno : 0;

	umask(before);
	return error;
}

int unix_bind_anew(int fd, const char *path, mode_t mask)
{
	struct sockaddr_un address;
	int error = unix_address(path, &address);

	if (error == 0 && unlink(path) < 0 && errno != ENOENT)
		error = -errno;
	return error < 0 ? error : bind_masked(fd, &address, mask);
}
