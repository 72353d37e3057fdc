/* Sends, receives and checks messages. Runs in the gates and in the broker, neither of which
 * trusts the other. */
#include "ipc/message.h"

#include <errno.h>
#include <string.h>

#include "base/descriptor.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "ipc/issuer.h"
#include "ipc/packet.h"

enum {
	IPV4_BITS = 32,
};

static bool needs_key(uint16_t operation)
{
	return operation == IPC_CONNECT_WIREGUARD || operation == IPC_DISCONNECT_WIREGUARD;
}

static bool may_have_key(uint16_t operation)
{
	return needs_key(operation) || operation == IPC_CONNECT_IPIP ||
	       operation == IPC_DISCONNECT_IPIP;
}

static bool is_refusal_right(const struct ipc_request *request)
{
	const struct refused_request *refusal = &request->refusal;

	if (request->operation != IPC_REFUSED)
		return refusal->reason == 0 && refusal->count == 0;
	return refusal->reason > 0 && refusal->reason < REFUSAL_REASON_END && refusal->count > 0;
}

static bool has_client(const struct ipc_request *request)
{
	return request->operation != IPC_READY && request->operation != IPC_REFUSED &&
	       request->operation != IPC_FETCH_KEYS;
}

static bool is_issuer_right(const struct ipc_request *request)
{
	return request->operation == IPC_FETCH_KEYS ? request->issuer < ISSUERS_MAX
						    : request->issuer == 0;
}

int ipc_decode_request(const void *packet, size_t length, struct ipc_request *request)
{
	if (length != sizeof *request)
		return -EPROTO;
	memcpy(request, packet, sizeof *request);
	if (request->version != IPC_VERSION || request->operation == 0 ||
		request->operation >= IPC_OPERATION_END || !is_issuer_right(request))
		return -EPROTO;
	if (key_is_zero(&request->key) ? needs_key(request->operation)
				       : !may_have_key(request->operation))
		return -EPROTO;
	if (!client_name_is_valid(&request->name) ||
		(!has_client(request) && !client_name_is_none(&request->name)))
		return -EPROTO;
	return is_refusal_right(request) ? 0 : -EPROTO;
}

static bool is_about_endpoint(const struct ipc_reply *reply)
{
	return reply->kind == IPC_ENDPOINT || reply->kind == IPC_ENDPOINT_GONE;
}

static bool has_descriptor(const struct ipc_reply *reply)
{
	return reply->kind == IPC_SIGNER || reply->kind == IPC_ENDPOINT ||
	       reply->kind == IPC_TOKENS;
}

/* Others have none. */
static bool are_live_settings_right(const struct ipc_reply *reply)
{
	const struct live_settings *live = &reply->live;

	if (reply->kind != IPC_LIVE_SETTINGS)
		return live->max_connections_per_source == 0;
	return live->max_connections_per_source > 0 && live->log_level <= LOG_LEVEL_DEBUG &&
	       live->log_format <= LOG_FORMAT_JSON;
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
	if ((reply->kind == IPC_ANSWER) == (reply->status == 0) ||
		is_about_endpoint(reply) == (reply->endpoint.bind.value == 0) ||
		reply->endpoint.block.length > IPV4_BITS || !are_live_settings_right(reply))
		return -EPROTO;
	return 0;
}

int ipc_send_request(int fd, const struct ipc_request *request, int client)
{
	return descriptor_send(fd, request, sizeof *request, client, SANDBOX_PASS_ON_FLAGS);
}

int ipc_receive_request(int fd, struct ipc_request *request, int *client)
{
	unsigned char buffer[sizeof *request + 1];
	int n = descriptor_receive(fd, buffer, sizeof buffer, client, MSG_DONTWAIT);
	int error = n < 0 ? n : ipc_decode_request(buffer, (size_t)n, request);

	return packet_keep_descriptor(error, error == 0 && has_client(request), client);
}

int ipc_send_reply(int fd, const struct ipc_reply *reply, int descriptor)
{
	return descriptor_send(fd, reply, sizeof *reply, descriptor, MSG_DONTWAIT);
}

int ipc_receive_reply(int fd, struct ipc_reply *reply, int *passed_on)
{
	unsigned char buffer[sizeof *reply + 1];
	int n = descriptor_receive(fd, buffer, sizeof buffer, passed_on, MSG_DONTWAIT);
	int error = n < 0 ? n : ipc_decode_reply(buffer, (size_t)n, reply);

	return packet_keep_descriptor(error, error == 0 && has_descriptor(reply), passed_on);
}
