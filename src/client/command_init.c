/*
 * Waits until the tunnel is up, gives up its rights, runs the command and returns its status. Runs
 * as process 1 of the namespaces of `vprox exec`: when it ends, for whatever reason, the kernel
 * ends all that the command has started and removes the namespaces with their interface.
 */
#include "client/command_init.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "client/command_mounts.h"

/* The client's end is the end of this: of no use for a moment after the user was changed, which
 * takes it back. */
static int end_with_client(int control)
{
	char nothing;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	return recv(control, &nothing, sizeof nothing, MSG_DONTWAIT | MSG_PEEK) == 0 ? -EPIPE : 0;
}

static int await_go(int control, struct command_go *go)
{
	ssize_t n;

	do
		n = recv(control, go, sizeof *go, 0);
	while (n < 0 && errno == EINTR);
	return n == sizeof *go ? 0 : -EPIPE;
}

/* What was started with signals blocked or ignored starts with those blocked or ignored. */
__attribute__((noreturn)) static void become_command(const struct command_plan *plan)
{
	int error;

	sigprocmask(SIG_SETMASK, &plan->mask, NULL);
	if (plan->variable)
		setenv(plan->variable, plan->value, 1);
	execvp(plan->arguments[0], plan->arguments);
	error = errno;
	log_error("%s: %s", plan->arguments[0], strerror(error));
	_exit(error == ENOENT ? COMMAND_NOT_FOUND : COMMAND_NOT_EXECUTABLE);
}

static int status_of(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : COMMAND_KILLED + WTERMSIG(status);
}

/* Whatever has lost its parent in here is this process's child too. Returns the command's status,
 * or -1 as long as it runs. */
static int reap(pid_t command)
{
	pid_t pid;
	int status, found = -1;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == command)
			found = status_of(status);
	return found;
}

/* Passes on what the client has sent, by sigqueue(3). What a terminal has sent, or somebody has to
 * the whole group, has come to the command too. */
static int wait_for(pid_t command)
{
	sigset_t all;
	int status = -1;

	sigfillset(&all);
	while (status < 0) {
		siginfo_t info;
		int number = sigwaitinfo(&all, &info);

		if (number == SIGCHLD)
			status = reap(command);
		else if (number > 0 && info.si_code == SI_QUEUE)
			kill(command, number);
	}
	return status;
}

static int prepare(const struct command_plan *plan, int control)
{
	struct command_go go;
	int error = end_with_client(control);

	if (error == 0)
		error = await_go(control, &go);
	if (error < 0)
		return error; /* the client has ended, and has said why */
	resolvers_check(&go.resolvers);
	error = command_mounts_make(&go.resolvers);
	if (error < 0)
		return error;
	error = command_user_become(plan->user);
	if (error < 0)
		log_error("cannot become the user %u: %s", plan->user->id, strerror(-error));
	return error < 0 ? error : end_with_client(control);
}

void command_init_run(const struct command_plan *plan, int control)
{
	sigset_t all;
	pid_t command;

	signal(SIGCHLD, SIG_DFL);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	if (plan->password)
		explicit_bzero(plan->password, strlen(plan->password));
	if (prepare(plan, control) < 0)
		_exit(COMMAND_NOT_RUN);
	command = fork();
	if (command == 0)
		become_command(plan);
	if (command < 0)
		log_error("cannot start the command: %s", strerror(errno));
	_exit(command < 0 ? COMMAND_NOT_RUN : wait_for(command));
}
