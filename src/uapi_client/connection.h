/* A connection to a device's control socket. For the files of this folder only. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	/* A device that hangs must not hang the server; and clients wait for 5 s. */
	UAPI_CLIENT_SILENCE_MS = 3000,
};

/* Connects to the device of this name. Returns a descriptor, or -errno: -ENODEV if no device
 * listens, -ETIMEDOUT if it hangs. */
int uapi_client_connect(const char *name);
/* Until the socket is ready for events of poll(2): a while, and not beyond the end of all, by the
 * system's clock. Returns 0, -ETIMEDOUT or another -errno. */
int uapi_client_await(int fd, short events, uint64_t end_ms);
/* Sends it all, by then. Returns 0 or -errno as uapi_client_await() does; -ENODEV: it has ended. */
int uapi_client_send(int fd, const char *text, uint64_t end_ms);
/* What is there is received, without waiting. Returns how much, 0 if there is nothing, or -errno;
 * -ENODEV: that was the end. */
int uapi_client_receive(int fd, char *buffer, size_t size);
