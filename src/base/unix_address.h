/* Addresses of Unix sockets that have a path: unix(7). */
#pragma once

#include <sys/un.h>

/* Returns 0, or -ENAMETOOLONG if the path does not fit, with its final NUL. */
int unix_address(const char *path, struct sockaddr_un *address);
