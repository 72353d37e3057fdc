/* Sends, receives and checks messages. Runs in the gates and in the broker, neither of which
 * trusts the other. */
#include "ipc/message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static bool uses_key(uint16_t operation)
{
	return operation == IPC_CONNECT_WIREGUARD || operation == IPC_DISCONNECT_WIREGUARD;
}

int ipc_decode_request(
	const void *packet, size_t length, uint16_t n_endpoints, struct ipc_request *request)
{
	if (length != sizeof *request)
		return -EPROTO;
	memcpy(request, packet, sizeof *request);
	if (request->version != IPC_VERSION || request->operation == 0 ||
		request->operation >= IPC_OPERATION_END || request->endpoint >= n_endpoints ||
		request->reserved != 0)
		return -EPROTO;
	if (key_is_zero(&request->key) == uses_key(request->operation))
		return -EPROTO;
	return 0;
}

int ipc_decode_reply(const void *packet, size_t length, struct ipc_reply *reply)
{
	if (length != sizeof *reply)
		return -EPROTO;
	memcpy(reply, packet, sizeof *reply);
	if (reply->version != IPC_VERSION || reply->kind == 0 ||
		reply->kind >= IPC_REPLY_KIND_END || reply->status >= IPC_STATUS_END ||
		reply->reserved != 0)
		return -EPROTO;
	if ((reply->kind == IPC_ANSWER) == (reply->status == 0))
		return -EPROTO;
	return 0;
}

static int send_struct(int fd, const void *packet, size_t length)
{
	ssize_t n = send(fd, packet, length, MSG_NOSIGNAL | MSG_DONTWAIT);

	return n < 0 ? -errno : 0;
}

/* The buffer holds one byte more than the message, so that a longer packet is seen to be longer. */
static ssize_t receive_struct(int fd, void *buffer, size_t size)
{
	ssize_t n = recv(fd, buffer, size, MSG_DONTWAIT);

	if (n < 0)
		return -errno;
	return n == 0 ? -EPIPE : n;
}

int ipc_send_request(int fd, const struct ipc_request *request)
{
	return send_struct(fd, request, sizeof *request);
}

int ipc_receive_request(int fd, uint16_t n_endpoints, struct ipc_request *request)
{
	unsigned char buffer[sizeof *request + 1];
	ssize_t n = receive_struct(fd, buffer, sizeof buffer);

	return n < 0 ? (int)n : ipc_decode_request(buffer, (size_t)n, n_endpoints, request);
}

int ipc_send_reply(int fd, const struct ipc_reply *reply)
{
	return send_struct(fd, reply, sizeof *reply);
}

int ipc_receive_reply(int fd, struct ipc_reply *reply)
{
	unsigned char buffer[sizeof *reply + 1];
	ssize_t n = receive_struct(fd, buffer, sizeof buffer);

	return n < 0 ? (int)n : ipc_decode_reply(buffer, (size_t)n, reply);
}
