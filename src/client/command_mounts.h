/* What a command of `vprox exec` sees of the file system that the host does not: its own name
 * servers, its own processes and interfaces, and no service that would ask others for it. */
#pragma once

struct resolvers;

/*
 * In a mount namespace of one's own, once: a resolv.conf with these name servers, /proc, the
 * network namespace's interfaces in /sys where a sysfs can be mounted, and empty folders where
 * nscd, systemd-resolved, sssd, Avahi and vprox listen. Nothing of it is to be seen outside.
 * Returns 0 or -errno, logged.
 */
int command_mounts_make(const struct resolvers *resolvers);
