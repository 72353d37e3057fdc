/* Sends, receives and checks messages. Runs in the gates and in the broker, neither of which
 * trusts the other. */
#include "ipc/message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/sandbox.h"

/* Room for the header of one control message, and for one descriptor and no more: CMSG_SPACE()
 * would have room for two. What does not fit is closed by the kernel, which says MSG_CTRUNC. */
union one_descriptor {
	struct cmsghdr header;
	unsigned char bytes[CMSG_LEN(sizeof(int))];
};

static bool uses_key(uint16_t operation)
{
	return operation == IPC_CONNECT_WIREGUARD || operation == IPC_DISCONNECT_WIREGUARD;
}

int ipc_decode_request(const void *packet, size_t length, struct ipc_request *request)
{
	if (length != sizeof *request)
		return -EPROTO;
	memcpy(request, packet, sizeof *request);
	if (request->version != IPC_VERSION || request->operation == 0 ||
		request->operation >= IPC_OPERATION_END || request->reserved != 0)
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

static void attach(struct msghdr *message, union one_descriptor *control, int descriptor)
{
	struct cmsghdr *header = &control->header;

	message->msg_control = control;
	message->msg_controllen = CMSG_LEN(sizeof descriptor);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof descriptor);
	memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
}

int ipc_send_request(int fd, const struct ipc_request *request, int client)
{
	union one_descriptor control = {0};
	struct iovec data = {(void *)request, sizeof *request};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};

	if (client >= 0)
		attach(&message, &control, client);
	return sendmsg(fd, &message, SANDBOX_PASS_ON_FLAGS) < 0 ? -errno : 0;
}

/* Returns the descriptor that came along, or -1. */
static int descriptor_of(struct msghdr *message)
{
	struct cmsghdr *header = CMSG_FIRSTHDR(message);
	int descriptor = -1;

	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
		header->cmsg_len == CMSG_LEN(sizeof descriptor))
		memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
	return descriptor;
}

static int receive_with_descriptor(int fd, void *buffer, size_t size, int *descriptor)
{
	union one_descriptor control;
	struct iovec data = {buffer, size};
	struct msghdr message = {.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_LEN(sizeof *descriptor)};
	ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return -errno;
	*descriptor = descriptor_of(&message);
	if (message.msg_flags & MSG_CTRUNC)
		return -EPROTO;
	return n == 0 ? -EPIPE : (int)n;
}

int ipc_receive_request(int fd, struct ipc_request *request, int *client)
{
	unsigned char buffer[sizeof *request + 1];
	auto_close int descriptor = -1;
	int n = receive_with_descriptor(fd, buffer, sizeof buffer, &descriptor);
	int error = n < 0 ? n : ipc_decode_request(buffer, (size_t)n, request);

	*client = -1;
	if (error == 0 && (request->operation == IPC_READY) != (descriptor < 0))
		error = -EPROTO;
	if (error < 0)
		return error;
	*client = descriptor;
	descriptor = -1;
	return 0;
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
