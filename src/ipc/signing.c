/* Checks, sends and receives the messages around the signer. Runs in the signer, in the gates and
 * in the broker. */
#include "ipc/signing.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/descriptor.h"
#include "ipc/packet.h"

enum {
	ERRNO_MAX = 4095, /* of the kernel's: include/linux/err.h */
};

int signing_decode_request(const void *packet, size_t length, struct signing_request *request)
{
	if (length != sizeof *request)
		return -EPROTO;
	memcpy(request, packet, sizeof *request);
	if (request->version != SIGNING_VERSION || request->digest == 0 ||
		request->digest >= SIGNING_DIGEST_END || request->padding == 0 ||
		request->padding >= SIGNING_PADDING_END || request->length > SIGNING_CONTENT_MAX ||
		request->reserved != 0)
		return -EPROTO;
	return 0;
}

int signing_decode_reply(const void *packet, size_t length, struct signing_reply *reply)
{
	if (length != sizeof *reply)
		return -EPROTO;
	memcpy(reply, packet, sizeof *reply);
	if (reply->version != SIGNING_VERSION || reply->status == 0 ||
		reply->status >= SIGNING_STATUS_END || reply->length > SIGNATURE_MAX ||
		(reply->status == SIGNING_OK) == (reply->length == 0))
		return -EPROTO;
	return 0;
}

int signer_decode_notice(const void *packet, size_t length, struct signer_notice *notice)
{
	if (length != sizeof *notice)
		return -EPROTO;
	memcpy(notice, packet, sizeof *notice);
	return notice->version == SIGNING_VERSION && notice->kind != 0 &&
			       notice->kind < SIGNER_NOTICE_KIND_END && notice->error <= ERRNO_MAX
		       ? 0
		       : -EPROTO;
}

int signer_decode_config(const void *packet, size_t length, struct signer_config *config)
{
	if (length != sizeof *config)
		return -EPROTO;
	memcpy(config, packet, sizeof *config);
	return config->version == SIGNING_VERSION ? 0 : -EPROTO;
}

int signing_send_request(int fd, const struct signing_request *request)
{
	return packet_send(fd, request, sizeof *request);
}

int signing_receive_request(int fd, struct signing_request *request)
{
	unsigned char buffer[sizeof *request + 1];
	int n = packet_receive(fd, buffer, sizeof buffer);

	return n < 0 ? n : signing_decode_request(buffer, (size_t)n, request);
}

int signing_send_reply(int fd, const struct signing_reply *reply)
{
	return packet_send(fd, reply, sizeof *reply);
}

int signing_receive_reply(int fd, struct signing_reply *reply)
{
	unsigned char buffer[sizeof *reply + 1];
	int n = packet_receive(fd, buffer, sizeof buffer);

	return n < 0 ? n : signing_decode_reply(buffer, (size_t)n, reply);
}

int signer_send_config(int fd, const struct signer_config *config)
{
	return packet_send(fd, config, sizeof *config);
}

int signer_receive_config(int fd, struct signer_config *config)
{
	unsigned char buffer[sizeof *config + 1];
	int n = packet_receive(fd, buffer, sizeof buffer);

	return n < 0 ? n : signer_decode_config(buffer, (size_t)n, config);
}

int signer_send_notice(int fd, const struct signer_notice *notice, int descriptor)
{
	return descriptor_send(fd, notice, sizeof *notice, descriptor, MSG_DONTWAIT);
}

int signer_receive_notice(int fd, struct signer_notice *notice, int *passed_on)
{
	unsigned char buffer[sizeof *notice + 1];
	int n = descriptor_receive(fd, buffer, sizeof buffer, passed_on, MSG_DONTWAIT);
	int error = n < 0 ? n : signer_decode_notice(buffer, (size_t)n, notice);

	return packet_keep_descriptor(error, error == 0 && notice->kind == SIGNER_SERVE, passed_on);
}
