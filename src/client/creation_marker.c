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

	snprintf(path.s, sizeof path.s, "%s/client-making-%s", RUN_FOLDER, interface);
	return path;
}

int making_begin(const char *interface)
{
	int fd = open(path_of(interface).s, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

void making_end(const char *interface)
{
	unlink(path_of(interface).s);
}

bool making_was_cut_off(const char *interface)
{
	return access(path_of(interface).s, F_OK) == 0;
}
