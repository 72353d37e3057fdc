/*
 * Sends requests, matches each answer to its request by the sequence number, and collects dumps. A
 * socket belongs to one thread, which blocks until the kernel has answered.
 */
#include "netlink/socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <libmnl/libmnl.h>
#include <linux/netlink.h>

#include "base/cleanup.h"
#include "netlink/attribute.h"

enum {
	/* The kernel fills dumps in parts of 32 KiB at the most (netlink_recvmsg() in
	 * net/netlink/af_netlink.c). */
	RECEIVE_SIZE = 65536,
	/* Room for the acknowledgements of a full request: each takes under 1 KiB of it. */
	RECEIVE_QUEUE_SIZE = 1 << 20,
	/* Answers are queued before the request's system call returns: one that is not there is
	 * lost. */
	ANSWER_TIMEOUT_S = 5,
	ERROR_TEXT_SIZE = 128,
	/* In place of an errno: no acknowledgement yet. */
	UNANSWERED = 1,
};

struct netlink {
	struct mnl_socket *socket;
	int fd;
	uint32_t port;
	uint32_t sequence;
	char error[ERROR_TEXT_SIZE];
	uint8_t *buffer;
};

static int set_options(struct netlink *netlink)
{
	struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};
	int on = 1, size = RECEIVE_QUEUE_SIZE;

	if (setsockopt(netlink->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) < 0)
		return -errno;
	/* The rest makes answers shorter, faster or clearer, but all works without it. */
	setsockopt(netlink->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
	setsockopt(netlink->fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
	setsockopt(netlink->fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
	setsockopt(netlink->fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
	return 0;
}

int netlink_open(int family, struct netlink **netlink)
{
	struct netlink *new = calloc(1, sizeof *new);
	int error = -ENOMEM;

	if (!new)
		return -ENOMEM;
	new->buffer = malloc(RECEIVE_SIZE);
	if (!new->buffer)
		goto out;
	new->socket = mnl_socket_open2(family, SOCK_CLOEXEC);
	if (!new->socket || mnl_socket_bind(new->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		error = -errno;
		goto out;
	}
	new->fd = mnl_socket_get_fd(new->socket);
	new->port = mnl_socket_get_portid(new->socket);
	error = set_options(new);
out:
	if (error < 0) {
		netlink_close(new);
		return error;
	}
	*netlink = new;
	return 0;
}

void netlink_close(struct netlink *netlink)
{
	if (!netlink)
		return;
	if (netlink->socket)
		mnl_socket_close(netlink->socket);
	free(netlink->buffer);
	free(netlink);
}

const char *netlink_error(const struct netlink *netlink)
{
	return netlink->error;
}

void netlink_wipe(struct netlink *netlink)
{
	explicit_bzero(netlink->buffer, RECEIVE_SIZE);
}

/* Numbers the messages and sends them in one datagram. */
static int send_request(struct netlink *netlink, struct netlink_request *request)
{
	size_t offset = 0;

	netlink->error[0] = '\0';
	if (request->error < 0)
		return request->error;
	for (size_t i = 0; i < request->count; i++) {
		struct nlmsghdr *message = (struct nlmsghdr *)(request->data + offset);

		message->nlmsg_seq = ++netlink->sequence;
		message->nlmsg_pid = netlink->port;
		offset += message->nlmsg_len;
	}
	if (mnl_socket_sendto(netlink->socket, request->data, request->length) < 0)
		return -errno;
	return 0;
}

/* The next datagram from the kernel itself. Returns its length or a negative errno. */
static ssize_t receive(struct netlink *netlink)
{
	for (;;) {
		struct sockaddr_nl from = {0};
		struct iovec part = {.iov_base = netlink->buffer, .iov_len = RECEIVE_SIZE};
		struct msghdr header = {.msg_name = &from,
			.msg_namelen = sizeof from,
			.msg_iov = &part,
			.msg_iovlen = 1};
		ssize_t length = recvmsg(netlink->fd, &header, 0);

		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if (header.msg_namelen != sizeof from || from.nl_pid != 0)
			continue;
		if (header.msg_flags & MSG_TRUNC)
			return -EMSGSIZE;
		return length;
	}
}

/* Keeps the kernel's text, which follows what the message holds at that offset. */
static void keep_error_text(struct netlink *netlink, const struct nlmsghdr *message, size_t offset)
{
	const struct nlattr *table[NLMSGERR_ATTR_MSG + 1];

	if (!(message->nlmsg_flags & NLM_F_ACK_TLVS) || netlink->error[0] != '\0')
		return;
	attributes_of_message(message, offset, table, sizeof table / sizeof *table);
	attribute_string(table[NLMSGERR_ATTR_MSG], netlink->error, sizeof netlink->error);
}

/* The result in an NLMSG_ERROR: 0 for an acknowledgement. */
static int read_acknowledgement(struct netlink *netlink, const struct nlmsghdr *message)
{
	const struct nlmsgerr *header = message_header(message, sizeof *header);
	size_t offset = sizeof *header;

	if (!header || header->error > 0)
		return -EBADMSG;
	/* Unless capped, the whole request is quoted before the text. */
	if (!(message->nlmsg_flags & NLM_F_CAPPED) && header->msg.nlmsg_len > sizeof header->msg)
		offset += header->msg.nlmsg_len - sizeof header->msg;
	if (header->error < 0)
		keep_error_text(netlink, message, offset);
	return header->error;
}

/* The result in the NLMSG_DONE of a dump. */
static int read_done(struct netlink *netlink, const struct nlmsghdr *message)
{
	const int *error = message_header(message, sizeof *error);

	if (!error || *error >= 0)
		return 0;
	keep_error_text(netlink, message, sizeof *error);
	return *error;
}

/* One exchange: what has been asked and how far the answers are. */
struct exchange {
	struct netlink *netlink;
	uint32_t first; /* sequence number of the first message */
	size_t count; /* of messages */
	size_t answered;
	int *errors;
	netlink_reply_fn *reply;
	void *context;
	int reply_error;
	bool interrupted;
};

static void finish(struct exchange *exchange, size_t number, int error)
{
	if (exchange->errors[number] == UNANSWERED) {
		exchange->errors[number] = error;
		exchange->answered++;
	} else if (exchange->errors[number] == 0 && error < 0) {
		/* The frame of a batch: nothing is said of what is in it. */
		exchange->errors[number] = error;
		exchange->answered = exchange->count;
	}
}

/* The frames of a batch count as answered from the beginning. */
static void expect_answers(struct exchange *exchange, const struct netlink_request *request)
{
	size_t offset = 0;

	for (size_t i = 0; i < request->count; i++) {
		const struct nlmsghdr *message = (struct nlmsghdr *)(request->data + offset);

		exchange->errors[i] = UNANSWERED;
		if (!(message->nlmsg_flags & (NLM_F_ACK | NLM_F_DUMP)))
			finish(exchange, i, 0);
		offset += message->nlmsg_len;
	}
}

static void handle_message(struct exchange *exchange, const struct nlmsghdr *message)
{
	uint32_t number = message->nlmsg_seq - exchange->first;

	/* Left over from an exchange that timed out, or not for us. */
	if (number >= exchange->count || message->nlmsg_pid != exchange->netlink->port)
		return;
	if (message->nlmsg_flags & NLM_F_DUMP_INTR)
		exchange->interrupted = true;
	switch (message->nlmsg_type) {
	case NLMSG_NOOP:
	case NLMSG_OVERRUN:
		break;
	case NLMSG_ERROR:
		finish(exchange, number, read_acknowledgement(exchange->netlink, message));
		break;
	case NLMSG_DONE:
		finish(exchange, number, read_done(exchange->netlink, message));
		break;
	default:
		if (exchange->reply && exchange->reply_error >= 0)
			exchange->reply_error = exchange->reply(exchange->context, number, message);
	}
}

static int read_datagram(struct exchange *exchange)
{
	ssize_t received = receive(exchange->netlink);
	const struct nlmsghdr *message = (struct nlmsghdr *)exchange->netlink->buffer;

	if (received < 0)
		return (int)received;
	for (int left = (int)received; mnl_nlmsg_ok(message, left);
		message = mnl_nlmsg_next(message, &left))
		handle_message(exchange, message);
	return 0;
}

/* Reads until all messages are answered. Returns 0 or why that can't be. */
static int read_answers(struct exchange *exchange)
{
	int error = 0;

	while (error == 0 && exchange->answered < exchange->count)
		error = read_datagram(exchange);
	return error;
}

static int run(struct exchange *exchange, struct netlink_request *request)
{
	int error;

	if (request->count == 0 && request->error == 0)
		return 0;
	expect_answers(exchange, request);
	error = send_request(exchange->netlink, request);
	if (error == 0) {
		exchange->first = exchange->netlink->sequence - (uint32_t)request->count + 1;
		exchange->count = request->count;
		error = read_answers(exchange);
	}
	for (size_t i = 0; i < request->count; i++)
		if (exchange->errors[i] == UNANSWERED)
			exchange->errors[i] = error;
	return error;
}

int netlink_transact(struct netlink *netlink, struct netlink_request *request, int *errors,
	netlink_reply_fn *reply, void *context)
{
	int own_errors[NETLINK_REQUEST_MESSAGES];
	struct exchange exchange = {.netlink = netlink,
		.errors = errors ? errors : own_errors,
		.reply = reply,
		.context = context};
	int error = run(&exchange, request);

	for (size_t i = 0; error == 0 && i < request->count; i++)
		error = exchange.errors[i];
	return error < 0 ? error : exchange.reply_error < 0 ? exchange.reply_error : 0;
}

int netlink_execute(struct netlink *netlink, struct netlink_request *request)
{
	return netlink_transact(netlink, request, NULL, NULL, NULL);
}

int netlink_dump(struct netlink *netlink, struct netlink_request *request, netlink_reply_fn *reply,
	void *context)
{
	struct nlmsghdr *message = (struct nlmsghdr *)request->data;
	int errors[NETLINK_REQUEST_MESSAGES];
	struct exchange exchange = {
		.netlink = netlink, .errors = errors, .reply = reply, .context = context};
	int error;

	if (request->error == 0 && request->count != 1)
		return -EINVAL;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	error = run(&exchange, request);
	if (error == 0)
		error = errors[0];
	if (error < 0)
		return error;
	if (exchange.reply_error < 0)
		return exchange.reply_error;
	return exchange.interrupted ? -EINTR : 0;
}

int netlink_dump_begin(struct netlink *netlink, struct netlink_request *request)
{
	struct nlmsghdr *message = (struct nlmsghdr *)request->data;

	if (request->error == 0 && request->count != 1)
		return -EINVAL;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	return send_request(netlink, request);
}

int netlink_dump_next(struct netlink *netlink, netlink_reply_fn *reply, void *context)
{
	int result = UNANSWERED;
	struct exchange exchange = {
		.netlink = netlink,
		.first = netlink->sequence,
		.count = 1,
		.errors = &result,
		.reply = reply,
		.context = context,
	};
	int error = read_datagram(&exchange);

	if (error < 0)
		return error;
	return exchange.reply_error < 0 ? exchange.reply_error : result;
}

int netlink_fd(const struct netlink *netlink)
{
	return netlink->fd;
}

struct collection {
	netlink_decode_fn *decode;
	const void *filter;
	size_t item_size;
	uint8_t *items;
	size_t n;
	size_t room;
};

static int collect(void *context, size_t number, const struct nlmsghdr *message)
{
	struct collection *collection = context;
	int result;

	(void)number;
	if (collection->n == collection->room) {
		size_t room = collection->room ? 2 * collection->room : 16;
		uint8_t *items = reallocarray(collection->items, room, collection->item_size);

		if (!items)
			return -ENOMEM;
		collection->items = items;
		collection->room = room;
	}
	result = collection->decode(message, collection->filter,
		collection->items + collection->n * collection->item_size);
	if (result > 0)
		collection->n++;
	return result < 0 ? result : 0;
}

int netlink_dump_items(struct netlink *netlink, struct netlink_request *request,
	netlink_decode_fn *decode, const void *filter, size_t item_size, void **items, size_t *n)
{
	struct collection collection = {.decode = decode, .filter = filter, .item_size = item_size};
	int error = -EINTR;

	for (int i = 0; i < NETLINK_DUMP_TRIES && error == -EINTR; i++) {
		collection.n = 0;
		error = netlink_dump(netlink, request, collect, &collection);
	}
	if (error < 0 || collection.n == 0) {
		free(collection.items);
		collection.items = NULL;
		collection.n = 0;
	}
	*items = collection.items;
	*n = collection.n;
	return error;
}
