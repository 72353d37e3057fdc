/* Many datagrams with one system call, or with many. Runs in every worker. */
#include "device/io/batch_call.h"

#include <errno.h>
#include <stddef.h>

/* Whether it was refused, and is left alone for a while. */
static bool refused(struct batch_call *call, int result, enum refusal kind)
{
	if (result >= 0 || errno != ENOSYS)
		return false;
	call->single_left = REFUSAL_LASTS;
	refusal_say(call->refusals, kind);
	return true;
}

static int receive_singly(struct batch_call *call, int fd, struct mmsghdr *headers, unsigned int n)
{
	unsigned int done;

	for (done = 0; done < n; done++) {
		ssize_t length = recvmsg(fd, &headers[done].msg_hdr, MSG_DONTWAIT);

		if (length < 0)
			break;
		headers[done].msg_len = (unsigned int)length;
	}
	call->single_left = refusal_pass(call->single_left, done);
	return done > 0 || n == 0 ? (int)done : -1;
}

int batch_receive(struct batch_call *call, int fd, struct mmsghdr *headers, unsigned int n)
{
	if (call->single_left == 0) {
		int result = recvmmsg(fd, headers, n, MSG_DONTWAIT, NULL);

		if (!refused(call, result, REFUSAL_RECVMMSG))
			return result;
	}
	return receive_singly(call, fd, headers, n);
}

static int send_singly(struct batch_call *call, int fd, struct mmsghdr *headers, unsigned int n)
{
	unsigned int done = 0;

	while (done < n && sendmsg(fd, &headers[done].msg_hdr, MSG_NOSIGNAL) >= 0)
		done++;
	call->single_left = refusal_pass(call->single_left, done);
	return done > 0 || n == 0 ? (int)done : -1;
}

int batch_send(struct batch_call *call, int fd, struct mmsghdr *headers, unsigned int n)
{
	if (call->single_left == 0) {
		int result = sendmmsg(fd, headers, n, MSG_NOSIGNAL);

		if (!refused(call, result, REFUSAL_SENDMMSG))
			return result;
	}
	return send_singly(call, fd, headers, n);
}
