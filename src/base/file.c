/* Reads and writes small files. No state: any process may call it; it blocks, so that event loops
 * use it for local files only. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

/* To open a FIFO that nobody writes to would wait for somebody, with signals kept for later; to
 * read from one finds its end. */
static int open_to_read(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		fcntl(fd, F_SETFL, 0);
	return fd;
}

int file_read(const char *path, size_t max, char **data, size_t *length)
{
	auto_close int fd = open_to_read(path);
	auto_free char *buffer = NULL;
	size_t n = 0;

	if (fd < 0)
		return -errno;
	buffer = malloc(max + 2);
	if (!buffer)
		return -ENOMEM;
	while (n <= max) {
		ssize_t r = read(fd, buffer + n, max + 1 - n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			break;
		n += (size_t)r;
	}
	if (n > max)
		return -EFBIG;
	buffer[n] = '\0';
	*data = buffer;
	*length = n;
	buffer = NULL;
	return 0;
}

int file_open_again(int fd, int flags)
{
	char path[sizeof "/proc/self/fd/-2147483648"];
	int again;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	again = open(path, flags);
	return again < 0 ? -errno : again;
}

int file_write_all(int fd, const void *data, size_t length)
{
	const uint8_t *bytes = data;

	while (length > 0) {
		ssize_t n = write(fd, bytes, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		bytes += n;
		length -= (size_t)n;
	}
	return 0;
}

static int sync_folder_of(const char *path)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;

	memcpy(folder, path, n);
	folder[n] = '\0';

	auto_close int fd = open(n       ? folder
				 : slash ? "/"
					 : ".",
		O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int fill(int fd, mode_t mode, const void *data, size_t length)
{
	int error = fchmod(fd, mode) < 0 ? -errno : 0;

	return error < 0 ? error : file_write_all(fd, data, length);
}

int file_create(const char *path, mode_t mode, const void *data, size_t length)
{
	char temporary[PATH_MAX];
	int error;

	if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= (int)sizeof temporary)
		return -ENAMETOOLONG;

	auto_close int fd = mkostemp(temporary, O_CLOEXEC);

	if (fd < 0)
		return -errno;
	error = fill(fd, mode, data, length);
	if (error == 0 && fsync(fd) < 0)
		error = -errno;
	if (error == 0 && link(temporary, path) < 0)
		error = -errno;
	unlink(temporary);
	return error == 0 ? sync_folder_of(path) : error;
}

/* One that is there is of a process that died, or somebody's link to another file. */
static int make_anew(const char *path)
{
	int fd;

	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

int file_replace(const char *path, const struct file_beside *beside, mode_t mode, const void *data,
	size_t length)
{
	auto_close int fd = make_anew(beside->path);
	int error;

	if (fd < 0)
		return fd;
	error = fill(fd, mode, data, length);
	if (error == 0 && beside->is_synced && fsync(fd) < 0)
		error = -errno;
	if (error == 0 && rename(beside->path, path) < 0)
		error = -errno;
	if (error < 0)
		unlink(beside->path);
	else if (beside->is_synced)
		sync_folder_of(path);
	return error;
}

bool file_is_exposed(const char *path)
{
	struct stat file;

	if (stat(path, &file) < 0)
		return false;
	return (file.st_mode & (S_IRWXG | S_IRWXO)) != 0 ||
	       (file.st_uid != 0 && file.st_uid != geteuid());
}

void file_warn_if_exposed(const char *path)
{
	if (file_is_exposed(path))
		log_warning("%s is exposed: it should be root's, with mode 0600", path);
}

void file_close_input_and_output(void)
{
	auto_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return;
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
}

int file_make_folder(const char *path, mode_t mode)
{
	char partial[PATH_MAX];
	size_t n = strlen(path);

	if (n == 0 || n >= sizeof partial)
		return -ENAMETOOLONG;
	for (size_t i = 1; i <= n; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(partial, path, i);
		partial[i] = '\0';
		if (mkdir(partial, i == n ? mode : 0755) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}
