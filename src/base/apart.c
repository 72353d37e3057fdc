/* Does work in a process of its own. Called by the broker at its start. */
#include "base/apart.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* None may look into it, and it leaves no file when it dies. */
static void hide_memory(void)
{
	static const struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

/* A signal meant for all must not be handled twice, by way of the handlers that the copy has. */
int do_apart(int (*work)(void *context), void *context)
{
	sigset_t all, before;
	pid_t pid;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0) {
		hide_memory();
		_exit(-work(context));
	}

	int result = pid < 0 ? -errno : wait_for(pid);

	sigprocmask(SIG_SETMASK, &before, NULL);
	return result;
}
