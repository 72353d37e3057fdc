/*
 * Starts a program and waits for its end. Its standard streams are files in memory, not pipes: then
 * neither a program that does not read nor one that leaves its output open to another can keep us
 * waiting. It blocks: the broker does so at its start and end, and in a thread when iptables-legacy
 * has changed; `vprox clean` as it likes.
 */
#include "host/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/process.h"

enum {
	PATH_SIZE = 4096,
};

static const char *const sbin_folders[] = {"/usr/sbin", "/sbin", "/usr/local/sbin"};
static const char default_path[] = "/usr/sbin:/usr/bin:/sbin:/bin";

/* The program's standard input, output and error: file descriptors of ours, -1 or -errno. */
struct streams {
	int input, output, messages;
};

static int fail(struct run_error *error, int code, const char *text)
{
	snprintf(error->text, sizeof error->text, "%s", text);
	return code;
}

/* Returns a file descriptor or -errno. */
static int make_input(const char *text)
{
	int fd = memfd_create("input", MFD_CLOEXEC);
	int error = fd < 0 ? -errno : 0;

	if (error == 0 && text)
		error = file_write_all(fd, text, strlen(text));
	if (error == 0 && lseek(fd, 0, SEEK_SET) < 0)
		error = -errno;
	if (error == 0)
		return fd;
	cleanup_close(&fd);
	return error;
}

/* A file that never holds more than the limit: it has that size from the beginning, which takes no
 * memory, and a write beyond it fails. Returns a file descriptor or -errno. */
static int make_output(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int error;

	if (fd >= 0 && ftruncate(fd, RUN_MAX_OUTPUT) == 0 &&
		fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) == 0)
		return fd;
	error = -errno;
	cleanup_close(&fd);
	return error;
}

static int streams_open(struct streams *streams, const char *input)
{
	streams->input = make_input(input);
	streams->output = make_output("output");
	streams->messages = make_output("messages");
	if (streams->input < 0)
		return streams->input;
	return streams->output < 0     ? streams->output
	       : streams->messages < 0 ? streams->messages
				       : 0;
}

static void streams_close(const struct streams *streams)
{
	cleanup_close(&streams->input);
	cleanup_close(&streams->output);
	cleanup_close(&streams->messages);
}

/* How much was written to one: the program's file descriptor shares its position with ours. */
static size_t length_of(int stream)
{
	off_t length = lseek(stream, 0, SEEK_CUR);

	return length < 0 ? 0 : (size_t)length;
}

/* At most max bytes of what was written, ended by a NUL; the caller frees it. */
static int read_back(int stream, size_t max, char **text)
{
	size_t length = length_of(stream);
	char *data;
	ssize_t n;

	length = length < max ? length : max;
	data = malloc(length + 1);
	if (!data)
		return -ENOMEM;
	n = pread(stream, data, length, 0);
	if (n < 0) {
		int error = -errno;

		free(data);
		return error;
	}
	data[n] = '\0';
	*text = data;
	return 0;
}

static int spawn_at(const char *program, const char *const arguments[],
	const struct streams *streams, pid_t *pid)
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
	posix_spawn_file_actions_adddup2(&files, streams->input, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&files, streams->output, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&files, streams->messages, STDERR_FILENO);
	error = posix_spawnp(
		pid, program, &files, &attributes, (char *const *)arguments, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&files);
	return -error;
}

/* root's PATH may lack the sbin folders. */
static int spawn(const char *const arguments[], const struct streams *streams, pid_t *pid)
{
	int error = spawn_at(arguments[0], arguments, streams, pid);
	size_t n = sizeof sbin_folders / sizeof *sbin_folders;
	char program[PATH_SIZE];

	for (size_t i = 0; i < n && error == -ENOENT && !strchr(arguments[0], '/'); i++) {
		snprintf(program, sizeof program, "%s/%s", sbin_folders[i], arguments[0]);
		error = spawn_at(program, arguments, streams, pid);
	}
	return error;
}

/* Of a program that did not end with status 0. */
static int explain(int status, const struct streams *streams, struct run_error *error)
{
	auto_free char *text = NULL;

	if (length_of(streams->messages) > 0 &&
		read_back(streams->messages, RUN_ERROR_SIZE, &text) == 0) {
		text[strcspn(text, "\n")] = '\0';
		return fail(error, -EIO, text);
	}
	if (WIFSIGNALED(status))
		return fail(error, -EIO, strsignal(WTERMSIG(status)));
	return fail(error, -EIO, "it failed without saying why");
}

int run_program(const char *const arguments[], const char *input, unsigned int timeout_ms,
	char **output, struct run_error *error)
{
	struct streams streams;
	pid_t pid = -1;
	int status = 0;
	int result = streams_open(&streams, input);

	if (result == 0)
		result = spawn(arguments, &streams, &pid);
	if (result == 0)
		result = process_finish(pid, timeout_ms, &status);
	if (result == 0 && length_of(streams.output) >= RUN_MAX_OUTPUT)
		result = -EFBIG;
	if (result == 0 && status == 0 && output)
		result = read_back(streams.output, RUN_MAX_OUTPUT, output);
	if (result < 0)
		fail(error, result, strerror(-result));
	else if (status != 0)
		result = explain(status, &streams, error);
	streams_close(&streams);
	return result;
}
