/* Tells systemd the state of a service. Runs in the broker, the client and the device. */
#include "base/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/descriptor.h"
#include "base/log.h"

int notify_open(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length;
	int fd;

	if (!path || (path[0] != '/' && path[0] != '@'))
		return -1;
	length = strlen(path);
	if (length >= sizeof address.sun_path)
		return -1;
	memcpy(address.sun_path, path, length);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address,
			       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) == 0)
		return fd;
	log_warning("cannot notify the service manager at %s: %m", path);
	if (fd >= 0)
		close(fd);
	return -1;
}

void notify_send(int fd, const char *state)
{
	if (send(fd, state, strlen(state), MSG_NOSIGNAL) < 0)
		log_warning("cannot notify the service manager: %m");
}

int notify_send_descriptor(int fd, const char *state, int descriptor)
{
	return descriptor_send(fd, state, strlen(state), descriptor, 0);
}

void notify_service_manager(const char *state)
{
	auto_close int fd = notify_open();

	if (fd >= 0)
		notify_send(fd, state);
}
