/* Reads and appends to the file of known servers, which clients that run at the same time share.
 * Runs in the client. */
#include "client/known_servers.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

enum {
	FOLDER_MODE = 0755,
	LINE_SIZE = 512,
	FILE_MODE = 0600, /* who may open it may lock it, and keep clients waiting */
};

static int make_folder_of(const char *path)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;

	if (n == 0)
		return 0;
	if (n >= sizeof folder)
		return -ENAMETOOLONG;
	memcpy(folder, path, n);
	folder[n] = '\0';
	return file_make_folder(folder, FOLDER_MODE);
}

/* Locked, so that no line is seen or written in part. */
static int open_file(const char *path, int flags, const char *mode, int lock, FILE **file)
{
	int fd = open(path, flags | O_CLOEXEC, FILE_MODE), error;

	if (fd < 0)
		return -errno;
	if (flock(fd, lock) < 0 || !(*file = fdopen(fd, mode))) {
		error = -errno;
		close(fd);
		return error;
	}
	return 0;
}

/* Returns 1 if the line is about the server, 0 if it is not, -EBADMSG if it is none. */
static int read_line(char *line, const char *server, struct pin *pin)
{
	char *save, *name, *key;

	name = strtok_r(line, " \t\r\n", &save);
	if (!name || *name == '#')
		return 0;
	key = strtok_r(NULL, " \t\r\n", &save);
	if (!key || pin_parse(key, pin) < 0 || strtok_r(NULL, " \t\r\n", &save))
		return -EBADMSG;
	return strcasecmp(name, server) == 0;
}

/* All of the line or, if there is no room for it, nothing. */
static int append(FILE *file, const char *server, const struct pin *pin)
{
	int fd = fileno(file), length, error;
	off_t size = lseek(fd, 0, SEEK_END);
	char line[LINE_SIZE], last = '\n';
	ssize_t written;

	if (size < 0 || (size > 0 && pread(fd, &last, sizeof last, size - 1) < 0))
		return -errno;
	length = snprintf(
		line, sizeof line, "%s%s %s\n", last == '\n' ? "" : "\n", server, pin_text(pin).s);
	if (length >= (int)sizeof line)
		return -ENAMETOOLONG;
	written = write(fd, line, (size_t)length);
	if (written == length && fsync(fd) == 0)
		return 0;
	error = written < 0 || written == length ? -errno : -ENOSPC;
	return ftruncate(fd, size) < 0 ? -errno : error;
}

static int find(FILE *file, const char *server, const struct pin *pin, struct pin *former)
{
	auto_free char *line = NULL;
	size_t size = 0;
	int result = SERVER_NEW;

	rewind(file);
	while (getline(&line, &size, file) >= 0) {
		struct pin found;
		int about = read_line(line, server, &found);

		if (about < 0)
			return about;
		if (about && pin_equal(&found, pin))
			return SERVER_KNOWN;
		if (about) {
			*former = found;
			result = SERVER_CHANGED;
		}
	}
	return ferror(file) ? -EIO : result;
}

/* Needs to write nothing: /var may be read-only. */
int known_servers_look_up(
	const char *path, const char *server, const struct pin *pin, struct pin *former)
{
	auto_fclose FILE *file = NULL;
	int error = open_file(path, O_RDONLY, "r", LOCK_SH, &file);

	if (error == -ENOENT)
		return SERVER_NEW;
	return error < 0 ? error : find(file, server, pin, former);
}

/* Once more looked up, as another client may just have remembered it. */
static int remember(const char *path, const char *server, const struct pin *pin, struct pin *former)
{
	auto_fclose FILE *file = NULL;
	int result = make_folder_of(path);

	if (result == 0)
		result = open_file(path, O_RDWR | O_CREAT | O_APPEND, "a+", LOCK_EX, &file);
	if (result == 0)
		result = find(file, server, pin, former);
	if (result == SERVER_NEW) {
		int error = append(file, server, pin);

		result = error < 0 ? error : SERVER_NEW;
	}
	return result;
}

int known_servers_check(
	const char *path, const char *server, const struct pin *pin, struct pin *former)
{
	int result = known_servers_look_up(path, server, pin, former);

	return result == SERVER_NEW ? remember(path, server, pin, former) : result;
}
