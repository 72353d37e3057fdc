/* Addresses of Unix sockets that have a path: unix(7). */
#pragma once

#include <sys/stat.h>
#include <sys/un.h>

/* Returns 0, or -ENAMETOOLONG if the path does not fit, with its final NUL. */
int unix_address(const char *path, struct sockaddr_un *address);

/* Binds a socket to a path, in place of what is there; mask is what others may not do with it, as
 * of umask(2). For a process with one thread. Returns 0 or -errno. */
int unix_bind_anew(int fd, const char *path, mode_t mask);
