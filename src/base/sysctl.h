/* Settings of the kernel (sysctl(8), Documentation/networking/ip-sysctl.rst): numbers in files
 * below /proc/sys. Those of interfaces are this network namespace's. */
#pragma once

#include <net/if.h>

enum {
	SYSCTL_PATH_SIZE = 64 + IF_NAMESIZE,
};

struct sysctl_path {
	char s[SYSCTL_PATH_SIZE];
};

/* The file of net.FAMILY.conf.INTERFACE.KEY: family "ipv4" or "ipv6"; interface a name, or "all" or
 * "default". */
struct sysctl_path sysctl_of_interface(const char *family, const char *interface, const char *key);

/* Return 0 or -errno; -ENOENT: no such setting, or no such interface (any more). */
int sysctl_read(const char *path, int *value);
int sysctl_write(const char *path, int value);

/* Of net.ipv4.conf.*.rp_filter: the source of a packet must be reachable by the interface that it
 * came in by, or by any. */
enum {
	RP_FILTER_STRICT = 1,
	RP_FILTER_LOOSE = 2,
};

/*
 * Loosens the check of source addresses where it is strict: the value that counts is the larger one
 * of the interface's own and that of "all". *old: the interface's own before. Returns 1 if it was
 * changed, 0 if that was not needed (or could not be read), or -errno if it could not be changed.
 */
int sysctl_loosen_rp_filter(const char *interface, int *old);

/* Disables IPv6 on an interface. Returns 0, also where the kernel has no IPv6, or -errno. */
int sysctl_disable_ipv6(const char *interface);
