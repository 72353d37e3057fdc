/* Tells the broker, and waits for it. Runs in the store's process. */
#include "store/broker_socket.h"

#include <errno.h>
#include <poll.h>

bool broker_socket_has_hung_up(void)
{
	struct pollfd broker = {.fd = STORE_FD_BROKER};

	return poll(&broker, 1, 0) > 0;
}

int broker_socket_wait(short events, int timeout_ms)
{
	struct pollfd broker = {.fd = STORE_FD_BROKER, .events = events};

	return poll(&broker, 1, timeout_ms) < 0 && errno != EINTR ? -errno : 0;
}

int broker_socket_tell(const struct storing_message *message)
{
	int error;

	while ((error = storing_send(STORE_FD_BROKER, message)) == -EAGAIN || error == -EINTR) {
		error = broker_socket_wait(POLLOUT, -1);
		if (error < 0)
			break;
	}
	return error;
}

int broker_socket_tell_event(enum storing_operation operation, uint64_t sequence)
{
	const struct storing_message message = {
		.version = STORING_VERSION, .operation = operation, .sequence = sequence};

	return broker_socket_tell(&message);
}

int broker_socket_tell_row(void *context, const struct storing_message *message)
{
	(void)context;
	return broker_socket_tell(message);
}

int broker_socket_tell_about(enum storing_operation operation, struct ipv4 bind)
{
	const struct storing_message message = {.version = STORING_VERSION,
		.operation = operation,
		.endpoint = {.bind = bind},
		.peer = {.bind = bind}};

	return broker_socket_tell(&message);
}
