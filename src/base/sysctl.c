/* Reads and writes settings below /proc/sys, and the two that tunnels need of their interfaces. No
 * state: any process with the rights for it may call it. */
#include "base/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/file.h"

enum {
	VALUE_SIZE = 32,
};

struct sysctl_path sysctl_of_interface(const char *family, const char *interface, const char *key)
{
	struct sysctl_path path;

	snprintf(path.s, sizeof path.s, "/proc/sys/net/%s/conf/%s/%s", family, interface, key);
	return path;
}

int sysctl_read(const char *path, int *value)
{
	auto_free char *text = NULL;
	size_t length;
	int error = file_read(path, VALUE_SIZE, &text, &length);

	if (error == 0)
		*value = (int)strtol(text, NULL, 10);
	return error;
}

int sysctl_write(const char *path, int value)
{
	auto_close int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return dprintf(fd, "%d", value) < 0 ? -errno : 0;
}

int sysctl_loosen_rp_filter(const char *interface, int *old)
{
	struct sysctl_path own = sysctl_of_interface("ipv4", interface, "rp_filter");
	int all, error;

	if (sysctl_read(sysctl_of_interface("ipv4", "all", "rp_filter").s, &all) < 0 ||
		sysctl_read(own.s, old) < 0 || (all > *old ? all : *old) != RP_FILTER_STRICT)
		return 0;
	error = sysctl_write(own.s, RP_FILTER_LOOSE);
	return error < 0 ? error : 1;
}

int sysctl_disable_ipv6(const char *interface)
{
	int error = sysctl_write(sysctl_of_interface("ipv6", interface, "disable_ipv6").s, 1);

	return error == -ENOENT ? 0 : error;
}
