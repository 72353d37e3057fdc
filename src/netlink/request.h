/*
 * Building netlink requests: one or more messages in one buffer, sent together by
 * netlink_transact(). What does not fit is remembered and comes out there as -EMSGSIZE, so that the
 * functions here need no checks.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/ipv4.h"

enum {
	NETLINK_REQUEST_SIZE = 16384, /* bytes of all messages together */
	NETLINK_REQUEST_MESSAGES = 128, /* in one request */
	NETLINK_HEADER_MAX = 32, /* bytes of a family's own header: the largest is ifinfomsg's 16 */
};

struct netlink_request {
	int error;
	size_t length; /* of all messages, in bytes */
	size_t count; /* of messages */
	size_t last; /* where the last message begins */
	_Alignas(8) uint8_t spill[NETLINK_HEADER_MAX]; /* the header of one that does not fit */
	_Alignas(8) uint8_t data[NETLINK_REQUEST_SIZE];
};

void netlink_request_init(struct netlink_request *request);

/*
 * Begins a message of a type (RTM_...) with flags (NLM_F_... beyond NLM_F_REQUEST and NLM_F_ACK,
 * which are always set). Returns the family's own header behind the netlink header, zeroed, for the
 * caller to fill before the next call.
 */
void *netlink_add(
	struct netlink_request *request, uint16_t type, uint16_t flags, size_t header_size);

/* The kernel answers the last message only where what it frames has failed (nfnetlink's begin and
 * end of a batch). */
void netlink_expect_no_answer(struct netlink_request *request);

/* Attributes of the last message; integers in host byte order. */
void netlink_put(struct netlink_request *request, uint16_t type, const void *data, size_t length);
void netlink_put_u8(struct netlink_request *request, uint16_t type, uint8_t value);
void netlink_put_u16(struct netlink_request *request, uint16_t type, uint16_t value);
void netlink_put_u32(struct netlink_request *request, uint16_t type, uint32_t value);
/* With its NUL. */
void netlink_put_string(struct netlink_request *request, uint16_t type, const char *text);
void netlink_put_ipv4(struct netlink_request *request, uint16_t type, struct ipv4 address);

/* What is written between the two is nested in an attribute of that type. Returns what end needs.
 */
size_t netlink_nest_begin(struct netlink_request *request, uint16_t type);
void netlink_nest_end(struct netlink_request *request, size_t nest);
