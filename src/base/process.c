/* Waits for a process, for a limited time, and reads what one takes. Blocks; runs in whoever has
 * started it, and in the broker. */
#include "base/process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

enum {
	REAP_INTERVAL_MS = 10,
};

/* Returns 0 when the child has ended, -ETIMEDOUT, or another -errno. */
static int await(pid_t pid, unsigned int timeout_ms)
{
	uint64_t deadline = clock_now_ms(&system_clock) + timeout_ms;
	auto_close int fd = pidfd_open(pid, 0);
	struct pollfd polled = {.fd = fd, .events = POLLIN};

	while (fd >= 0) {
		uint64_t now = clock_now_ms(&system_clock);
		int n = poll(&polled, 1, now < deadline ? (int)(deadline - now) : 0);

		if (n >= 0)
			return n > 0 ? 0 : -ETIMEDOUT;
		if (errno != EINTR)
			break;
	}
	return -errno;
}

/* One that is traced by another process can have ended and not be there to be reaped yet. */
int process_reap(pid_t pid, unsigned int timeout_ms, int *status)
{
	uint64_t deadline = clock_now_ms(&system_clock) + timeout_ms;
	int error = await(pid, timeout_ms);
	pid_t reaped;

	while ((reaped = waitpid(pid, status, WNOHANG)) == 0 && error == 0) {
		if (clock_now_ms(&system_clock) >= deadline)
			error = -ETIMEDOUT;
		poll(NULL, 0, REAP_INTERVAL_MS);
	}
	if (reaped < 0)
		return -errno;
	return reaped > 0 ? 0 : error;
}

int process_finish(pid_t pid, unsigned int timeout_ms, int *status)
{
	int error = process_reap(pid, timeout_ms, status);

	if (error < 0) {
		kill(pid, SIGKILL);
		process_reap(pid, PROCESS_KILL_MS, status);
	}
	return error;
}

uint64_t process_resident(pid_t pid)
{
	char path[sizeof "/proc/2147483647/statm"];
	unsigned long pages = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%*u %lu", &pages) != 1)
		pages = 0;
	fclose(file);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}
