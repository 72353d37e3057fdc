/* The control socket's file, /run/wireguard/NAME.sock. The control thread's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Where the socket of a device is. Returns 0 or -ENAMETOOLONG. */
int uapi_path(const char *name, char *path, size_t size);
/* Makes a listening socket there, and its folder, replacing one that nobody listens on. Returns it,
 * non-blocking, or -errno. */
int uapi_listen(const char *path);

/* A file descriptor that becomes readable when something happens to the files there; before the
 * sandbox. Returns it, non-blocking, or -errno. */
int uapi_socket_watch(void);
/* It is readable: whether the file of this path was removed, renamed, or replaced by another. */
bool uapi_socket_is_gone(int watch, const char *path);
