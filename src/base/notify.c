/* Tells systemd the state of a service. Runs in the broker, the client and the device. */
#include "base/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

void notify_service_manager(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (!path || (path[0] != '/' && path[0] != '@'))
		return;

	size_t length = strlen(path);
	if (length >= sizeof address.sun_path)
		return;
	memcpy(address.sun_path, path, length);
	if (path[0] == '@')
		address.sun_path[0] = '\0';

	auto_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t address_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);

	if (fd < 0 || sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
			      address_length) < 0)
		log_warning("cannot notify the service manager at %s: %m", path);
}
