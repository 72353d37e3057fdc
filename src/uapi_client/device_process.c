/*
 * Starting a device's process, as a child or by way of systemd. Runs in the server's broker and in
 * the client; blocks until the device is ready.
 */
#include "uapi_client/device_process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/process.h"

enum {
	UNIT_NAME_SIZE = 256, /* UNIT_NAME_MAX of systemd */
	START_TIME_MS = 20000, /* a server that waits for one device serves nobody */
};

/* Runs a program that returns when the device's control socket is ready. */
static int run_starter(const char *program, char *const arguments[])
{
	int status, error;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		/* nothing of its maker's, listeners and a password among it, is the device's */
		close_range(STDERR_FILENO + 1, ~0u, 0);
		clearenv();
		execvp(program, arguments);
		_exit(EXIT_FAILURE);
	}
	error = process_finish(pid, START_TIME_MS, &status);
	if (error < 0)
		return error;
	return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS ? 0 : -EIO;
}

/* A unit of that name that is still there has lost its interface, or does not answer: a new one. */
static int start_unit(const char *unit, const char *name)
{
	char instance[UNIT_NAME_SIZE];
	char *const arguments[] = {"systemctl", "--quiet", "restart", instance, NULL};

	snprintf(instance, sizeof instance, "%s@%s.service", unit, name);
	return run_starter(arguments[0], arguments);
}

int device_process_start(const char *name, const char *unit)
{
	char *const arguments[] = {"vprox", "device", (char *)name, NULL};

	return unit ? start_unit(unit, name) : run_starter("/proc/self/exe", arguments);
}
