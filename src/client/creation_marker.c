/* The marker files, in the folder of the locks. Runs in the client. */
#include "client/creation_marker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/lock.h"

enum {
	PATH_SIZE = 64,
	FILE_MODE = 0600,
};

struct path {
	char s[PATH_SIZE];
};

static struct path path_of(const char *interface)
{
	struct path path;

	snprintf(path.s, sizeof path.s, "%s/client-creating-%s", RUN_FOLDER, interface);
	return path;
}

int creation_marker_write(const char *interface)
{
	int fd = open(path_of(interface).s, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

void creation_marker_remove(const char *interface)
{
	unlink(path_of(interface).s);
}

bool creation_marker_exists(const char *interface)
{
	return access(path_of(interface).s, F_OK) == 0;
}
