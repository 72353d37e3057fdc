#include "plane/device_process.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int device_process_start(const char *name)
{
	char *const arguments[] = {"vprox", "device", (char *)name, NULL};
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		/* nothing of its maker's, listeners and a password among it, is the device's */
		close_range(STDERR_FILENO + 1, ~0u, 0);
		clearenv();
		execv("/proc/self/exe", arguments);
		_exit(EXIT_FAILURE);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS ? 0 : -EIO;
}
