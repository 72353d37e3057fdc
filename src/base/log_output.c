/* Writes log lines to standard error without waiting for who reads them. Every process and thread
 * does so; what standard error is, each process finds out once, at its start. */
#include "base/log_output.h"

#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum output_kind {
	OUTPUT_AS_IT_IS, /* a file, or opened anew: a write does not wait */
	OUTPUT_SOCKET,
	OUTPUT_SHARED, /* it may wait, and cannot be opened anew */
};

static struct {
	enum output_kind kind;
	bool is_journal;
	atomic_bool is_torn; /* the last line was not written to its end */
} output;

static enum output_kind open_anew(void)
{
	int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int copy = fd < 0 ? -1 : dup2(fd, STDERR_FILENO);

	if (fd >= 0)
		close(fd);
	return copy < 0 ? OUTPUT_SHARED : OUTPUT_AS_IT_IS;
}

/* A variable of that name is inherited by whoever has another standard error. */
static bool is_stream(const char *stream, const struct stat *file)
{
	char own[64];

	snprintf(own, sizeof own, "%ju:%ju", (uintmax_t)file->st_dev, (uintmax_t)file->st_ino);
	return stream && strcmp(stream, own) == 0;
}

void log_output_find_journal(void)
{
	struct stat file;

	output.is_journal =
		fstat(STDERR_FILENO, &file) == 0 && is_stream(getenv("JOURNAL_STREAM"), &file);
}

void log_output_open(void)
{
	struct stat file;

	log_output_find_journal();
	if (fstat(STDERR_FILENO, &file) < 0)
		return;
	if (S_ISSOCK(file.st_mode))
		output.kind = OUTPUT_SOCKET;
	else if (S_ISFIFO(file.st_mode) || isatty(STDERR_FILENO))
		output.kind = open_anew();
}

bool log_output_is_journal(void)
{
	return output.is_journal;
}

/* There is room for a line, unless another process that shares it is faster. */
static bool has_room(void)
{
	struct pollfd polled = {.fd = STDERR_FILENO, .events = POLLOUT};

	return poll(&polled, 1, 0) > 0 && (polled.revents & POLLOUT);
}

static ssize_t write_now(const char *data, size_t length)
{
	if (output.kind == OUTPUT_SOCKET)
		return send(STDERR_FILENO, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (output.kind == OUTPUT_SHARED && !has_room())
		return -1;
	return write(STDERR_FILENO, data, length);
}

/* What is left of a line that was torn, by a full disk, must not be the beginning of this one. */
static bool end_torn_line(void)
{
	if (!atomic_load(&output.is_torn))
		return true;
	if (write_now("\n", 1) != 1)
		return false;
	atomic_store(&output.is_torn, false);
	return true;
}

bool log_output_write(const char *line, size_t length)
{
	ssize_t n;

	if (!end_torn_line())
		return false;
	n = write_now(line, length);
	if (n > 0 && (size_t)n < length)
		atomic_store(&output.is_torn, true);
	return n == (ssize_t)length;
}
