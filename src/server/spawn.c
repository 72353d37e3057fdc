/*
 * Starts processes of this program, with nothing of ours but the descriptors that they are given.
 * Runs in the broker; what stands between fork() and execve() runs in the new process.
 */
#include "server/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "base/program.h"
#include "base/signals.h"

enum {
	EXEC_FAILED = 127,
};

/* What is to be started. All memory for it is there before fork(). */
struct spawned {
	const char *command, *program;
	const int *sources; /* n descriptors */
	int *copies; /* room for as many */
	size_t n;
};

/* In the child: everything first goes above all targets, so that no dup2() hits one that is still
 * needed. copies has room for n. */
static int place_descriptors(const int *sources, int *copies, int n)
{
	int end = SPAWN_FD_FIRST + n;

	for (int i = 0; i < n; i++) {
		copies[i] = fcntl(sources[i], F_DUPFD, end);
		if (copies[i] < 0)
			return -errno;
	}
	for (int i = 0; i < n; i++)
		if (dup2(copies[i], SPAWN_FD_FIRST + i) < 0)
			return -errno;
	syscall(SYS_close_range, end, ~0u, 0);
	return 0;
}

/* A new image, not a fork alone: a child must not have the broker's memory, with the keys and
 * tables in it. */
static _Noreturn void become(const struct spawned *spawned)
{
	const char *program = spawned->program ? spawned->program : "/proc/self/exe";
	char *const arguments[] = {"vprox", (char *)spawned->command, NULL};
	char *const none_but_name[] = {(char *)program, NULL};
	char *environment[PROGRAM_ENVIRONMENT_SIZE];
	sigset_t none;
	int error = place_descriptors(spawned->sources, spawned->copies, (int)spawned->n);

	file_close_input_and_output();
	signals_leave_to_parent();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	program_pick_environment(environment);
	if (error == 0) {
		execve(program, spawned->program ? none_but_name : arguments, environment);
		error = -errno;
	}
	log_error("a new process cannot become a %s, %s: %s", spawned->command, program,
		strerror(-error));
	_exit(EXEC_FAILED);
}

/*
 * A signal for the whole process group (Ctrl-C) must not reach the broker a second time by way of a
 * child that still has its handlers, and the pipe behind them: none is delivered to the child until
 * it ignores them.
 */
static pid_t fork_without_signals(void)
{
	sigset_t all, before;
	pid_t pid;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid != 0)
		sigprocmask(SIG_SETMASK, &before, NULL);
	return pid < 0 ? -errno : pid;
}

/* The second fork() leaves it to the host's first process. */
static _Noreturn void become_nobodys_child(const struct spawned *spawned)
{
	pid_t pid;

	setsid();
	pid = fork();
	if (pid == 0)
		become(spawned);
	_exit(pid < 0 ? EXEC_FAILED : 0);
}

typedef void become_fn(const struct spawned *spawned);

/* Returns the pid of a new process, which calls back, or -errno. */
static pid_t spawn(become_fn *become_it, const char *command, const char *program,
	const int *descriptors, size_t n)
{
	auto_free int *copies = calloc(n, sizeof *copies);
	const struct spawned spawned = {command, program, descriptors, copies, n};
	pid_t pid = copies ? fork_without_signals() : -ENOMEM;

	if (pid == 0)
		become_it(&spawned);
	return pid;
}

pid_t spawn_process(const char *command, const char *program, const int *descriptors, size_t n)
{
	return spawn(become, command, program, descriptors, n);
}

int spawn_detached(const char *command, const int *descriptors, size_t n)
{
	pid_t pid = spawn(become_nobodys_child, command, NULL, descriptors, n);
	int status, error;

	if (pid < 0)
		return pid;
	error = process_finish(pid, PROCESS_KILL_MS, &status);
	return error == 0 && status != 0 ? -EAGAIN : error;
}
