/* Settings of the kernel (base/sysctl.h) that are changed unless somebody has chosen them, with a
 * line in the log. */
#pragma once

#include <limits.h>

struct setting {
	const char *group, *name; /* "net/ipv4" and "ipfrag_time" */
	char path[PATH_MAX];
	int value;
};

/* Reads /proc/sys/GROUP/NAME; both are kept by reference. folder: where it is instead, for a test,
 * or NULL. Returns 0 or -errno; -ENOENT: there is no such setting. */
int setting_read(const char *folder, const char *group, const char *name, struct setting *setting);

/* Changes it. Logs that, or that it cannot be changed. */
void setting_change(const struct setting *setting, int value);

/* Logs that it stays, since somebody has chosen its value. */
void setting_leave(const struct setting *setting);
