/*
 * Where the control socket lies: it is made in place of one that nobody listens on, and its file is
 * watched. Runs in the control thread; the first part before the sandbox.
 */
#include "device/uapi/uapi_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/unix_address.h"

enum {
	BACKLOG = 16,
	FOLDER_MODE = 0755,
	SOCKET_MASK = 0077,
	WAIT_MS = 2000, /* for another device of the name to end */
	WAIT_STEP_MS = 5,
	EVENTS_SIZE = 4096,
};
static const char folder[] = "/run/wireguard";

/* Whether somebody listens at an address. */
static bool is_alive(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool alive = fd < 0 ||
		     connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ||
		     errno != ECONNREFUSED;

	if (fd >= 0)
		close(fd);
	return alive;
}

static int put(const char *made, const char *path)
{
	if (renameat2(AT_FDCWD, made, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
		return 0;
	return errno == EEXIST ? -EADDRINUSE : -errno;
}

/* A device whose interface was deleted may need a moment to end. */
static int wait_and_put(const char *made, const struct sockaddr_un *address)
{
	static const struct timespec pause = {.tv_nsec = WAIT_STEP_MS * 1000000};
	int error = put(made, address->sun_path);

	for (int ms = 0; error == -EADDRINUSE && ms < WAIT_MS; ms += WAIT_STEP_MS) {
		if (is_alive(address))
			nanosleep(&pause, NULL);
		else if (unlink(address->sun_path) < 0 && errno != ENOENT)
			return -errno;
		error = put(made, address->sun_path);
	}
	return error;
}

/* wg(8) removes a socket that nobody listens on: so it listens before it has that name, in a place
 * where wg does not look. */
static int listen_and_put(int fd, const struct sockaddr_un *address)
{
	char made[sizeof address->sun_path];
	int length = snprintf(made, sizeof made, "%s.%ld", address->sun_path, (long)getpid());
	int error;

	if (length < 0 || (size_t)length >= sizeof made)
		return -ENAMETOOLONG;
	error = unix_bind_anew(fd, made, SOCKET_MASK);
	if (error < 0)
		return error;
	error = listen(fd, BACKLOG) < 0 ? -errno : wait_and_put(made, address);
	if (error < 0)
		unlink(made);
	return error;
}

int uapi_path(const char *name, char *path, size_t size)
{
	int length = snprintf(path, size, "%s/%s.sock", folder, name);

	return length < 0 || (size_t)length >= size ? -ENAMETOOLONG : 0;
}

int uapi_listen(const char *path)
{
	struct sockaddr_un address;
	int fd, error = file_make_folder(folder, FOLDER_MODE);

	if (error == 0)
		error = unix_address(path, &address);
	if (error < 0)
		return error;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	error = listen_and_put(fd, &address);
	if (error < 0) {
		close(fd);
		return error;
	}
	return fd;
}

int uapi_socket_watch(void)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), error;

	if (fd < 0)
		return -errno;
	/* the folder's events have names; those of the file would need a look at it each time */
	if (inotify_add_watch(fd, folder, IN_DELETE | IN_MOVE | IN_ONLYDIR) >= 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

bool uapi_socket_is_gone(int watch, const char *path)
{
	_Alignas(struct inotify_event) char events[EVENTS_SIZE];
	const char *name = strrchr(path, '/') + 1;
	bool gone = false;
	ssize_t n;

	while ((n = read(watch, events, sizeof events)) > 0)
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *event =
				(const struct inotify_event *)(events + at);

			gone = gone || (event->len > 0 && strcmp(event->name, name) == 0);
			at += (ssize_t)(sizeof *event + event->len);
		}
	return gone;
}
