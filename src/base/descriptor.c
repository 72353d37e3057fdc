/* Sends and receives descriptors over Unix sockets. Runs in the broker, which hands them out and is
 * shown clients', in a device and its helper, and in the processes at the other ends. */
#include "base/descriptor.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Room for the header of one control message, and for one descriptor and no more: CMSG_SPACE()
 * would have room for two. What does not fit is closed by the kernel, which says MSG_CTRUNC. */
union one_descriptor {
	struct cmsghdr header;
	unsigned char bytes[CMSG_LEN(sizeof(int))];
};

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

int descriptor_send(int socket, const void *packet, size_t length, int descriptor, int flags)
{
	union one_descriptor control = {0};
	struct iovec data = {(void *)packet, length};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};

	/* The plain call, which every confined process may use. */
	if (descriptor < 0)
		return send(socket, packet, length, MSG_NOSIGNAL | flags) < 0 ? -errno : 0;
	attach(&message, &control, descriptor);
	return sendmsg(socket, &message, MSG_NOSIGNAL | flags) < 0 ? -errno : 0;
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

int descriptor_receive(int socket, void *buffer, size_t size, int *descriptor, int flags)
{
	union one_descriptor control;
	struct iovec data = {buffer, size};
	struct msghdr message = {.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_LEN(sizeof *descriptor)};
	ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | flags);

	*descriptor = -1;
	if (n < 0)
		return -errno;
	*descriptor = descriptor_of(&message);
	if ((message.msg_flags & MSG_CTRUNC) == 0)
		return n == 0 ? -EPIPE : (int)n;
	if (*descriptor >= 0)
		close(*descriptor);
	*descriptor = -1;
	return -EPROTO;
}
