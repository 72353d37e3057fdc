/* Appends lines to a file. Runs in the broker, and in the process of the flow log, which is passed
 * its file. */
#include "base/line_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"

static bool can_be_written(mode_t mode)
{
	return S_ISREG(mode) || S_ISFIFO(mode) || S_ISCHR(mode);
}

/* The mode is that whatever the process's mask is. */
static int open_or_make(const char *path, mode_t mode)
{
	const int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	int fd = open(path, flags | O_CREAT | O_EXCL, mode);

	if (fd >= 0 && fchmod(fd, mode) < 0)
		log_debug("cannot set the mode of %s: %m", path);
	if (fd < 0 && errno == EEXIST)
		fd = open(path, flags);
	return fd < 0 ? -errno : fd;
}

int line_file_open(const char *path, mode_t mode)
{
	int fd = open_or_make(path, mode);
	struct stat file;

	if (fd < 0 || (fstat(fd, &file) == 0 && can_be_written(file.st_mode)))
		return fd;
	close(fd);
	return -EINVAL;
}

const char *line_file_error(int error)
{
	switch (error) {
	case -EINVAL:
		return "not a file that can be written";
	case -ENOENT: /* the file itself would be made */
		return "there is no such folder: make it first";
	default:
		return strerror(-error);
	}
}

/* Of a FIFO and a device there is no last byte. */
void line_file_mend(int fd)
{
	auto_close int in = file_open_again(fd, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	off_t end = in >= 0 ? lseek(in, 0, SEEK_END) : 0;
	char last = '\n';

	if (end > 0 && pread(in, &last, 1, end - 1) == 1 && last != '\n' && write(fd, "\n", 1) != 1)
		log_debug("cannot end the last line of a file: %m");
}

static bool is_same_file(int a, int b)
{
	struct stat one, other;

	return fstat(a, &one) == 0 && fstat(b, &other) == 0 && one.st_dev == other.st_dev &&
	       one.st_ino == other.st_ino;
}

/* A line that was torn ends where it did, if the file is the one of before. */
void line_file_use(struct line_file *file, int fd)
{
	const bool is_torn = file->is_torn && is_same_file(file->fd, fd);

	line_file_close(file);
	file->fd = fd;
	file->is_torn = is_torn;
}

void line_file_close(struct line_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
	file->is_torn = false;
}

static size_t count_lines(const char *lines, size_t length)
{
	const char *end = lines + length, *line = lines;
	size_t n = 0;

	while ((line = memchr(line, '\n', (size_t)(end - line)))) {
		line++;
		n++;
	}
	return n;
}

static void record_failure(struct line_file *file, size_t n_lost, int error)
{
	if (!file->is_failing)
		log_error("cannot write %s: %s; what it does not take is lost", file->what,
			strerror(error));
	file->is_failing = true;
	file->lost += n_lost;
	file->lost_in_all += n_lost;
}

static void record_success(struct line_file *file)
{
	if (!file->is_failing)
		return;
	log_warning("%s can be written again: %llu lines of it are lost", file->what,
		(unsigned long long)file->lost);
	file->is_failing = false;
	file->lost = 0;
}

void line_file_account(struct line_file *file, size_t n_lines, int error)
{
	if (error == 0)
		record_success(file);
	else
		record_failure(file, n_lines, error);
}

/* Takes the beginning of a line that had no room back, where it can be: of a FIFO it cannot. */
static bool take_back(int fd, size_t length)
{
	const off_t end = lseek(fd, 0, SEEK_END);

	return end >= (off_t)length && ftruncate(fd, end - (off_t)length) == 0;
}

/* How much of what was written is of a line that is not whole. */
static size_t measure_torn(const char *lines, size_t length)
{
	const char *end = memrchr(lines, '\n', length);

	return end ? (size_t)(lines + length - end - 1) : length;
}

/* What is left of a line that was torn must not be the beginning of the next one. */
static bool end_torn_line(struct line_file *file)
{
	if (file->is_torn && write(file->fd, "\n", 1) != 1)
		return false;
	file->is_torn = false;
	return true;
}

void line_file_write(struct line_file *file, const char *lines, size_t length, size_t n_lines)
{
	size_t n_torn;
	ssize_t n;

	if (file->fd < 0 || length == 0)
		return;
	errno = ENOSPC;
	n = end_torn_line(file) ? write(file->fd, lines, length) : -1;
	if (n == (ssize_t)length) {
		record_success(file);
		return;
	}
	record_failure(file, n_lines - (n > 0 ? count_lines(lines, (size_t)n) : 0),
		n < 0 ? errno : ENOSPC);
	n_torn = n > 0 ? measure_torn(lines, (size_t)n) : 0;
	if (n_torn > 0)
		file->is_torn = !take_back(file->fd, n_torn);
}
