/*
 * Opens the socket for notices of ended connections, in the broker, and reads them, in the process
 * of the flow log.
 */
#include "netlink/conntrack_events.h"

#include <endian.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

#include "base/cleanup.h"
#include "netlink/attribute.h"
#include "netlink/conntrack.h"

enum {
	MESSAGE_SIZE = 8192, /* one notice takes some 300 bytes */
	ATTRIBUTES = sizeof(struct nlmsghdr) + sizeof(struct nfgenmsg), /* where they begin */
	ATTRIBUTE_HEADER = sizeof(struct nlattr),
};

/*
 * Documentation/networking/filter.rst, "nlattr": A is where to look, X what for, and A becomes
 * where it is, or 0.
 */
#define FIND(type, extension, else_drop)                                                           \
	BPF_STMT(BPF_LDX | BPF_IMM, type),                                                         \
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t)(SKF_AD_OFF + (extension))),          \
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, else_drop, 0)

static int filter_sources(int fd, struct prefix sources)
{
	const uint32_t mask = prefix_mask(sources.length);
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_IMM, ATTRIBUTES),
		FIND(CTA_TUPLE_ORIG, SKF_AD_NLATTR, 11),
		FIND(CTA_TUPLE_IP, SKF_AD_NLATTR_NEST, 8),
		FIND(CTA_IP_V4_SRC, SKF_AD_NLATTR_NEST, 5),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_IND, ATTRIBUTE_HEADER),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, sources.address.value & mask, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog program = {sizeof code / sizeof *code, code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ? -errno
											  : 0;
}

/* The filter comes first: nothing else is ever in the buffer. */
static int set_up(int fd, struct prefix sources, int buffer_size)
{
	const struct sockaddr_nl own = {.nl_family = AF_NETLINK};
	const int group = NFNLGRP_CONNTRACK_DESTROY;
	int error = filter_sources(fd, sources);

	if (error == 0 &&
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_size, sizeof buffer_size) < 0)
		error = -errno;
	if (error == 0 && bind(fd, (const struct sockaddr *)&own, sizeof own) < 0)
		error = -errno;
	if (error == 0 &&
		setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0)
		error = -errno;
	return error;
}

int conntrack_events_open(struct prefix sources, int buffer_size)
{
	auto_close int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);
	int error = fd < 0 ? -errno : set_up(fd, sources, buffer_size), result = fd;

	if (error < 0)
		return error;
	fd = -1;
	return result;
}

static uint16_t decode_port(const struct nlattr *attribute)
{
	uint16_t port = 0;

	attribute_u16(attribute, &port);
	return be16toh(port);
}

static uint64_t decode_number(const struct nlattr *attribute)
{
	uint64_t number = 0;

	attribute_u64(attribute, &number);
	return be64toh(number);
}

struct tuple {
	struct ipv4 addresses[CONNTRACK_TUPLE_ADDRESSES];
	uint16_t source_port, destination_port;
	uint8_t protocol;
};

static bool decode_tuple(const struct nlattr *nest, struct tuple *tuple)
{
	const struct nlattr *parts[CTA_TUPLE_PROTO + 1], *proto[CTA_PROTO_DST_PORT + 1];

	*tuple = (struct tuple){0};
	if (!conntrack_decode_tuple(nest, tuple->addresses))
		return false;
	attributes_of_nest(nest, parts, sizeof parts / sizeof *parts);
	attributes_of_nest(parts[CTA_TUPLE_PROTO], proto, sizeof proto / sizeof *proto);
	tuple->source_port = decode_port(proto[CTA_PROTO_SRC_PORT]);
	tuple->destination_port = decode_port(proto[CTA_PROTO_DST_PORT]);
	return attribute_u8(proto[CTA_PROTO_NUM], &tuple->protocol);
}

static struct flow_amount decode_amount(const struct nlattr *nest)
{
	const struct nlattr *parts[CTA_COUNTERS_BYTES + 1];

	attributes_of_nest(nest, parts, sizeof parts / sizeof *parts);
	return (struct flow_amount){
		.packets = decode_number(parts[CTA_COUNTERS_PACKETS]),
		.bytes = decode_number(parts[CTA_COUNTERS_BYTES]),
	};
}

static void decode_times(const struct nlattr *nest, struct ended_flow *flow)
{
	const struct nlattr *parts[CTA_TIMESTAMP_STOP + 1];

	attributes_of_nest(nest, parts, sizeof parts / sizeof *parts);
	flow->start_ns = decode_number(parts[CTA_TIMESTAMP_START]);
	flow->end_ns = decode_number(parts[CTA_TIMESTAMP_STOP]);
}

bool conntrack_ended_decode(const struct nlmsghdr *message, struct ended_flow *flow)
{
	const struct nlattr *table[CTA_TIMESTAMP + 1];
	struct tuple there, back;

	if (message->nlmsg_type != (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE))
		return false;
	attributes_of_message(
		message, sizeof(struct nfgenmsg), table, sizeof table / sizeof *table);
	if (!decode_tuple(table[CTA_TUPLE_ORIG], &there) ||
		!decode_tuple(table[CTA_TUPLE_REPLY], &back))
		return false;
	*flow = (struct ended_flow){
		.source = there.addresses[0],
		.destination = there.addresses[1],
		.source_port = there.source_port,
		.destination_port = there.destination_port,
		.seen_as = back.addresses[1],
		.seen_as_port = back.destination_port,
		.protocol = there.protocol,
		.has_amounts = table[CTA_COUNTERS_ORIG] != NULL,
		.out = decode_amount(table[CTA_COUNTERS_ORIG]),
		.back = decode_amount(table[CTA_COUNTERS_REPLY]),
	};
	decode_times(table[CTA_TIMESTAMP], flow);
	return true;
}

static void read_datagram(const void *buffer, size_t length, ended_flow_fn *ended, void *context)
{
	const struct nlmsghdr *message = buffer;
	int left = (int)length;

	for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
		struct ended_flow flow;

		if (conntrack_ended_decode(message, &flow))
			ended(context, &flow);
	}
}

/* Who has the right to send to the socket could tell of flows that there were none of. */
int conntrack_events_read(int fd, size_t max, ended_flow_fn *ended, void *context)
{
	_Alignas(struct nlmsghdr) char buffer[MESSAGE_SIZE];
	size_t n = 0;

	while (n < max) {
		struct sockaddr_nl from = {0};
		socklen_t from_size = sizeof from;
		ssize_t received = recvfrom(fd, buffer, sizeof buffer, MSG_DONTWAIT,
			(struct sockaddr *)&from, &from_size);

		if (received < 0 && errno == EINTR)
			continue;
		if (received < 0 && errno == EAGAIN)
			break;
		if (received < 0)
			return -errno;
		n++;
		if (from.nl_pid == 0)
			read_datagram(buffer, (size_t)received, ended, context);
	}
	return (int)n;
}

int64_t conntrack_events_lost(int fd)
{
	uint32_t info[SK_MEMINFO_VARS] = {0};
	socklen_t size = sizeof info;

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size) < 0)
		return -errno;
	return info[SK_MEMINFO_DROPS];
}
