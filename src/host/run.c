#include "host/run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

enum {
	READ_SIZE = 65536,
	PATH_SIZE = 4096,
};

static const char *const sbin_folders[] = {"/usr/sbin", "/sbin", "/usr/local/sbin"};
static const char default_path[] = "/usr/sbin:/usr/bin:/sbin:/bin";

/* A pipe's reading end and what has come out of it. */
struct stream {
	int fd;
	char *data;
	size_t length;
	bool is_open;
};

static void stream_free(struct stream *stream)
{
	free(stream->data);
	cleanup_close(&stream->fd);
}

static int fail(struct run_error *error, int code, const char *text)
{
	snprintf(error->text, sizeof error->text, "%s", text);
	return code;
}

/* A file in memory rather than a pipe: a program that does not read must not keep us waiting. */
static int make_input(const char *input)
{
	int fd = memfd_create("input", MFD_CLOEXEC);
	size_t length = input ? strlen(input) : 0;

	if (fd < 0)
		return -errno;
	while (length > 0) {
		ssize_t n = write(fd, input, length);

		if (n < 0) {
			int error = -errno;

			close(fd);
			return error;
		}
		input += n;
		length -= (size_t)n;
	}
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static int spawn_at(const char *program, const char *const arguments[], int input, int output,
	int messages, pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	const char *own_path = getenv("PATH");
	char path[PATH_SIZE];
	char *environment[2] = {path, NULL};
	int error;

	snprintf(path, sizeof path, "PATH=%s", own_path ? own_path : default_path);
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&files, messages, STDERR_FILENO);
	error = posix_spawnp(
		pid, program, &files, &attributes, (char *const *)arguments, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&files);
	return -error;
}

/* root's PATH may lack the sbin folders. */
static int spawn(const char *const arguments[], int input, int output, int messages, pid_t *pid)
{
	int error = spawn_at(arguments[0], arguments, input, output, messages, pid);
	size_t n = sizeof sbin_folders / sizeof *sbin_folders;
	char program[PATH_SIZE];

	for (size_t i = 0; i < n && error == -ENOENT && !strchr(arguments[0], '/'); i++) {
		snprintf(program, sizeof program, "%s/%s", sbin_folders[i], arguments[0]);
		error = spawn_at(program, arguments, input, output, messages, pid);
	}
	return error;
}

static int read_some(struct stream *stream)
{
	char *data = realloc(stream->data, stream->length + READ_SIZE + 1);
	ssize_t n;

	if (!data)
		return -ENOMEM;
	stream->data = data;
	n = read(stream->fd, data + stream->length, READ_SIZE);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	stream->length += (size_t)n;
	data[stream->length] = '\0';
	stream->is_open = n > 0;
	return stream->length > RUN_MAX_OUTPUT ? -EFBIG : 0;
}

/* Reads both streams until the program has closed them. */
static int collect(struct stream streams[2], uint64_t deadline)
{
	while (streams[0].is_open || streams[1].is_open) {
		struct pollfd polled[2];
		uint64_t now = clock_now_ms(&system_clock);

		for (int i = 0; i < 2; i++)
			polled[i] = (struct pollfd){
				.fd = streams[i].is_open ? streams[i].fd : -1, .events = POLLIN};
		if (now >= deadline)
			return -ETIMEDOUT;
		if (poll(polled, 2, (int)(deadline - now)) < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < 2; i++) {
			int error = polled[i].revents ? read_some(&streams[i]) : 0;

			if (error < 0)
				return error;
		}
	}
	return 0;
}

/* A program may close its output and go on. */
static int wait_for(pid_t pid, uint64_t deadline, int *status)
{
	static const struct timespec pause = {.tv_nsec = 2000000};

	for (;;) {
		pid_t ended = waitpid(pid, status, WNOHANG);

		if (ended == pid)
			return 0;
		if (ended < 0 && errno != EINTR)
			return -errno;
		if (clock_now_ms(&system_clock) >= deadline)
			return -ETIMEDOUT;
		nanosleep(&pause, NULL);
	}
}

static int finish(pid_t pid, struct stream streams[2], struct run_error *error)
{
	uint64_t deadline = clock_now_ms(&system_clock) + RUN_TIMEOUT_MS;
	int status = 0;
	int result = collect(streams, deadline);

	if (result == 0)
		result = wait_for(pid, deadline, &status);
	if (result < 0) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		return fail(error, result, strerror(-result));
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (streams[1].length > 0) {
		streams[1].data[strcspn(streams[1].data, "\n")] = '\0';
		return fail(error, -EIO, streams[1].data);
	}
	if (WIFSIGNALED(status))
		return fail(error, -EIO, strsignal(WTERMSIG(status)));
	return fail(error, -EIO, "it failed without saying why");
}

/* Returns the writing end, for the program, or -errno. */
static int stream_open(struct stream *stream)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	stream->fd = ends[0];
	stream->is_open = true;
	return ends[1];
}

int run_program(
	const char *const arguments[], const char *input, char **output, struct run_error *error)
{
	struct stream streams[2] = {{.fd = -1}, {.fd = -1}}; /* standard output, standard error */
	int in = make_input(input);
	int out = stream_open(&streams[0]);
	int messages = stream_open(&streams[1]);
	pid_t pid = -1;
	int result = in < 0 ? in : out < 0 ? out : messages < 0 ? messages : 0;

	if (result == 0)
		result = spawn(arguments, in, out, messages, &pid);
	cleanup_close(&in);
	cleanup_close(&out);
	cleanup_close(&messages);
	result = result < 0 ? fail(error, result, strerror(-result)) : finish(pid, streams, error);
	if (result == 0 && output) {
		*output = streams[0].data;
		streams[0].data = NULL;
	}
	stream_free(&streams[0]);
	stream_free(&streams[1]);
	return result;
}
