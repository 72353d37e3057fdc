"""Processes whose time of day is wrong."""

import pathlib
import subprocess

CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *now)
{
	int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
	int error = real(id, now);
	if (error == 0 && id == CLOCK_REALTIME)
		now->tv_sec += CLOCK_ERROR;
	return error;
}
time_t time(time_t *place)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	if (place)
		*place = now.tv_sec;
	return now.tv_sec;
}
/* A device is started without its maker's environment. */
int clearenv(void)
{
	int (*real)(void) = dlsym(RTLD_NEXT, "clearenv");
	char *library = getenv("LD_PRELOAD");
	library = library ? strdup(library) : NULL;
	real();
	return library ? setenv("LD_PRELOAD", library, 1) : 0;
}
/* So is the store. */
int execve(const char *path, char *const arguments[], char *const environment[])
{
	int (*real)(const char *, char *const *, char *const *) = dlsym(RTLD_NEXT, "execve");
	const char *library = getenv("LD_PRELOAD"), *name = strrchr(path, '/');
	char variable[4096] = "LD_PRELOAD=", *changed[32];
	int n = 0;
	if (!library || !name || strcmp(name, "/vprox-store") != 0)
		return real(path, arguments, environment);
	strncat(variable, library, sizeof variable - sizeof "LD_PRELOAD=");
	for (; environment[n] && n < 30; n++)
		changed[n] = environment[n];
	changed[n++] = variable;
	changed[n] = NULL;
	return real(path, arguments, changed);
}
"""


def wrong_clock(folder, seconds):
    """The environment of servers whose time of day is so many seconds ahead; less than 0: behind."""
    library = pathlib.Path(folder) / f"clock{seconds}.so"
    subprocess.run(["cc", "-shared", "-fPIC", f"-DCLOCK_ERROR={seconds}", "-x", "c", "-o", str(library),
                    "-", "-ldl"], input=CLOCK, text=True, check=True)
    return {"LD_PRELOAD": str(library)}
