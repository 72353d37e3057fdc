/* Reads attributes out of messages that may be broken. No state: any thread may call it. */
#include "netlink/attribute.h"

#include <string.h>

#include <libmnl/libmnl.h>

const void *message_header(const struct nlmsghdr *message, size_t header_size)
{
	if (message->nlmsg_len < sizeof *message + header_size)
		return NULL;
	return mnl_nlmsg_get_payload(message);
}

void attributes_of_bytes(const void *bytes, size_t length, const struct nlattr **table, size_t n)
{
	const uint8_t *next = bytes;

	memset(table, 0, n * sizeof *table);
	while (length >= sizeof(struct nlattr)) {
		const struct nlattr *attribute = (const struct nlattr *)next;
		size_t step = MNL_ALIGN(attribute->nla_len);

		if (attribute->nla_len < sizeof *attribute || attribute->nla_len > length)
			break;
		if (mnl_attr_get_type(attribute) < n)
			table[mnl_attr_get_type(attribute)] = attribute;
		/* The last one may lack its padding. */
		if (step >= length)
			break;
		next += step;
		length -= step;
	}
}

void attributes_of_message(
	const struct nlmsghdr *message, size_t header_size, const struct nlattr **table, size_t n)
{
	size_t offset = sizeof *message + MNL_ALIGN(header_size);
	size_t length = message->nlmsg_len > offset ? message->nlmsg_len - offset : 0;

	attributes_of_bytes((const uint8_t *)message + offset, length, table, n);
}

void attributes_of_nest(const struct nlattr *nest, const struct nlattr **table, size_t n)
{
	if (nest)
		attributes_of_bytes(
			mnl_attr_get_payload(nest), mnl_attr_get_payload_len(nest), table, n);
	else
		memset(table, 0, n * sizeof *table);
}

const struct nlattr *attribute_next(const struct nlattr *nest, const struct nlattr *previous)
{
	const uint8_t *end, *next;
	const struct nlattr *attribute;

	if (!nest)
		return NULL;
	end = (const uint8_t *)nest + nest->nla_len;
	next = previous ? (const uint8_t *)previous + MNL_ALIGN(previous->nla_len)
			: mnl_attr_get_payload(nest);
	if (next > end || (size_t)(end - next) < sizeof *attribute)
		return NULL;
	attribute = (const struct nlattr *)next;
	if (attribute->nla_len < sizeof *attribute || attribute->nla_len > (size_t)(end - next))
		return NULL;
	return attribute;
}

bool attribute_bytes(const struct nlattr *attribute, void *value, size_t length)
{
	if (!attribute || mnl_attr_get_payload_len(attribute) < length)
		return false;
	memcpy(value, mnl_attr_get_payload(attribute), length);
	return true;
}

bool attribute_u8(const struct nlattr *attribute, uint8_t *value)
{
	return attribute_bytes(attribute, value, sizeof *value);
}

bool attribute_u16(const struct nlattr *attribute, uint16_t *value)
{
	return attribute_bytes(attribute, value, sizeof *value);
}

bool attribute_u32(const struct nlattr *attribute, uint32_t *value)
{
	return attribute_bytes(attribute, value, sizeof *value);
}

bool attribute_u64(const struct nlattr *attribute, uint64_t *value)
{
	return attribute_bytes(attribute, value, sizeof *value);
}

bool attribute_ipv4(const struct nlattr *attribute, struct ipv4 *address)
{
	uint32_t net;

	if (!attribute_u32(attribute, &net))
		return false;
	*address = ipv4_from_net(net);
	return true;
}

bool attribute_string(const struct nlattr *attribute, char *text, size_t size)
{
	size_t length;

	text[0] = '\0';
	if (!attribute)
		return false;
	length = strnlen(mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute));
	if (length > size - 1)
		length = size - 1;
	memcpy(text, mnl_attr_get_payload(attribute), length);
	text[length] = '\0';
	return true;
}
