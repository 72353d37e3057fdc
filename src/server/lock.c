#include "server/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"

int lock_take(const char *path)
{
	int error = file_make_folder(RUN_FOLDER, 0700);
	int fd;

	if (error < 0)
		return error;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		error = -errno;
		close(fd);
		return error;
	}
	return fd;
}
