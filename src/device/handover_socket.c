/* The handover socket: its place, and who may connect. Runs in the control thread. */
#include "device/handover_socket.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/unix_address.h"

enum {
	BACKLOG = 4,
	SOCKET_MASK = 0077,
};

int handover_path(const char *name, char *path, size_t size)
{
	int length = snprintf(path, size, "/run/wireguard/%s.handover", name);

	return length < 0 || (size_t)length >= size ? -ENAMETOOLONG : 0;
}

int handover_listen(const char *path)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error = fd < 0 ? -errno : unix_bind_anew(fd, path, SOCKET_MASK);

	if (error == 0 && listen(fd, BACKLOG) < 0)
		error = -errno;
	if (error < 0 && fd >= 0)
		close(fd);
	return error < 0 ? error : fd;
}

int handover_accept(int listener, uid_t user, pid_t *pid)
{
	struct ucred who;
	socklen_t length = sizeof who;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	int error;

	if (fd < 0)
		return -errno;
	error = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length) < 0 ? -errno : 0;
	if (error == 0 && who.uid != 0 && who.uid != user)
		error = -EPERM;
	if (error < 0) {
		close(fd);
		return error;
	}
	*pid = who.pid;
	return fd;
}

int handover_connect(const char *path)
{
	struct sockaddr_un address;
	int fd, error = unix_address(path, &address);

	if (error < 0)
		return error;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
		error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

uint64_t handover_netns(int fd)
{
	uint64_t cookie = 0;
	socklen_t length = sizeof cookie;

	return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) < 0 ? 0 : cookie;
}
