/* Where one process of a device finds the one that it is to replace: a socket beside the control
 * socket. Over it go the keys of all sessions: it is for root, and for who started the device. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* /run/wireguard/NAME.handover, which wg(8) does not take for a device. Returns 0 or
 * -ENAMETOOLONG. */
int handover_path(const char *name, char *path, size_t size);

/* Listens at the path, replacing what is there: the name is this process's, as its control socket
 * is. Returns a non-blocking socket, mode 0700, or -errno. */
int handover_listen(const char *path);

/* Returns a connection, close-on-exec, or -errno; -EPERM: of somebody else than root and that user.
 * *pid is whose it is. */
int handover_accept(int listener, uid_t user, pid_t *pid);

/* Returns a connection, or -errno. */
int handover_connect(const char *path);

/* The network namespace of a socket, as a number of its own; 0: it cannot be told (before Linux
 * 5.14). */
uint64_t handover_netns(int fd);
