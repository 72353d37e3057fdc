/* Locks on files, which end with the process that holds them. Runs in the broker, `vprox clean` and
 * the client. */
#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"

enum {
	FOLDER_MODE = 0700,
	FILE_MODE = 0600,
};

/* One whose holder has removed the file meanwhile locks nothing: the next who comes makes another.
 */
static int lock_file(int fd)
{
	struct stat file;

	if (flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &file) < 0)
		return -errno;
	return file.st_nlink > 0 ? 0 : -EWOULDBLOCK;
}

int lock_take(const char *path)
{
	int error = file_make_folder(RUN_FOLDER, FOLDER_MODE);
	int fd;

	if (error < 0)
		return error;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
	if (fd < 0)
		return -errno;
	error = lock_file(fd);
	if (error < 0) {
		close(fd);
		return error;
	}
	return fd;
}

static const char *advice(int error)
{
	switch (error) {
	case -EROFS:
		return ": mount a tmpfs at /run; a container needs --tmpfs /run";
	case -ENOSPC:
		return ": make room in /run";
	case -EACCES:
	case -EPERM:
		return ": run it as root";
	default:
		return "";
	}
}

void lock_log_failure(const char *path, int error)
{
	log_error("cannot take the lock %s: %s%s", path, strerror(-error), advice(error));
}

bool lock_is_taken(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool taken;

	if (fd < 0)
		return false;
	taken = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
	close(fd);
	return taken;
}
