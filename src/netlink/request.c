/* Builds requests in a buffer. No state but the request: any thread may call it. */
#include "netlink/request.h"

#include <errno.h>
#include <string.h>

#include <libmnl/libmnl.h>

void netlink_request_init(struct netlink_request *request)
{
	request->error = 0;
	request->length = 0;
	request->count = 0;
	request->last = 0;
}

static struct nlmsghdr *last_message(struct netlink_request *request)
{
	return (struct nlmsghdr *)(request->data + request->last);
}

/* The next n bytes of the buffer, zeroed up to the alignment; NULL if they are not there. */
static void *append(struct netlink_request *request, size_t n)
{
	size_t aligned = MNL_ALIGN(n);
	uint8_t *bytes = request->data + request->length;

	if (request->error == 0 && aligned > sizeof request->data - request->length)
		request->error = -EMSGSIZE;
	if (request->error < 0)
		return NULL;
	memset(bytes, 0, aligned);
	request->length += aligned;
	return bytes;
}

static void update_length(struct netlink_request *request)
{
	last_message(request)->nlmsg_len = (uint32_t)(request->length - request->last);
}

void *netlink_add(
	struct netlink_request *request, uint16_t type, uint16_t flags, size_t header_size)
{
	size_t start = request->length;
	struct nlmsghdr *message = NULL;

	if (request->count == NETLINK_REQUEST_MESSAGES)
		request->error = -EMSGSIZE;
	message = append(request, sizeof *message + header_size);
	if (!message) {
		memset(request->spill, 0, sizeof request->spill);
		return request->spill;
	}
	request->last = start;
	request->count++;
	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	update_length(request);
	return message + 1;
}

void netlink_expect_no_answer(struct netlink_request *request)
{
	if (request->error == 0)
		last_message(request)->nlmsg_flags &= (uint16_t)~NLM_F_ACK;
}

void netlink_put(struct netlink_request *request, uint16_t type, const void *data, size_t length)
{
	struct nlattr *attribute = NULL;

	if (length > UINT16_MAX - sizeof *attribute)
		request->error = -EMSGSIZE;
	attribute = append(request, sizeof *attribute + length);
	if (!attribute)
		return;
	attribute->nla_type = type;
	attribute->nla_len = (uint16_t)(sizeof *attribute + length);
	if (length > 0)
		memcpy(attribute + 1, data, length);
	update_length(request);
}

void netlink_put_u8(struct netlink_request *request, uint16_t type, uint8_t value)
{
	netlink_put(request, type, &value, sizeof value);
}

void netlink_put_u16(struct netlink_request *request, uint16_t type, uint16_t value)
{
	netlink_put(request, type, &value, sizeof value);
}

void netlink_put_u32(struct netlink_request *request, uint16_t type, uint32_t value)
{
	netlink_put(request, type, &value, sizeof value);
}

void netlink_put_string(struct netlink_request *request, uint16_t type, const char *text)
{
	netlink_put(request, type, text, strlen(text) + 1);
}

void netlink_put_ipv4(struct netlink_request *request, uint16_t type, struct ipv4 address)
{
	netlink_put_u32(request, type, ipv4_to_net(address));
}

size_t netlink_nest_begin(struct netlink_request *request, uint16_t type)
{
	size_t nest = request->length;

	netlink_put(request, (uint16_t)(type | NLA_F_NESTED), NULL, 0);
	return nest;
}

void netlink_nest_end(struct netlink_request *request, size_t nest)
{
	struct nlattr *attribute = (struct nlattr *)(request->data + nest);
	size_t length = request->length - nest;

	if (length > UINT16_MAX)
		request->error = -EMSGSIZE;
	if (request->error == 0)
		attribute->nla_len = (uint16_t)length;
}
