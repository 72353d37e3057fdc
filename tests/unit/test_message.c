#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "ipc/message.h"

enum {
	MANY = 3, /* descriptors */
};

static struct ipc_request good_request(void)
{
	return (struct ipc_request){
		.version = IPC_VERSION,
		.operation = IPC_CONNECT_WIREGUARD,
		.id = 7,
		.key = {{1}},
	};
}

static struct ipc_reply good_reply(void)
{
	return (struct ipc_reply){
		.version = IPC_VERSION, .kind = IPC_ANSWER, .status = IPC_OK, .id = 7};
}

static int decode_request(struct ipc_request request)
{
	struct ipc_request decoded;

	return ipc_decode_request(&request, sizeof request, &decoded);
}

static int decode_reply(struct ipc_reply reply)
{
	struct ipc_reply decoded;

	return ipc_decode_reply(&reply, sizeof reply, &decoded);
}

static void messages_have_no_padding_that_could_leak_memory(void **state)
{
	(void)state;
	assert_int_equal(sizeof(struct ipc_request), 4 + 2 + 2 + 8 + 32 + CLIENT_NAME_SIZE + 16);
	assert_int_equal(sizeof(struct ipc_reply), 4 + 2 + 2 + 8 + 4 + 4 + 48 + 80);
}

static void a_request_with_a_field_out_of_range_is_refused(void **state)
{
	struct ipc_request r;

	(void)state;
	assert_int_equal(decode_request(good_request()), 0);
	r = good_request(), r.version++;
	assert_int_equal(decode_request(r), -EPROTO);
	r = good_request(), r.operation = 0;
	assert_int_equal(decode_request(r), -EPROTO);
	r = good_request(), r.operation = IPC_OPERATION_END;
	assert_int_equal(decode_request(r), -EPROTO);
	r = good_request(), r.issuer = 1;
	assert_int_equal(decode_request(r), -EPROTO);
	r = good_request(), r.key = (struct key){0};
	assert_int_equal(decode_request(r), -EPROTO);
	r = good_request(), r.operation = IPC_RELINQUISH;
	assert_int_equal(decode_request(r), -EPROTO);
}

static void a_name_that_is_none_and_one_of_a_gate_itself_are_refused(void **state)
{
	struct ipc_request r = good_request();

	(void)state;
	r.name = (struct client_name){"token:ci"};
	assert_int_equal(decode_request(r), 0);
	r.name = (struct client_name){"token:a\nb"};
	assert_int_equal(decode_request(r), -EPROTO);
	memset(&r.name, 'x', sizeof r.name);
	assert_int_equal(decode_request(r), -EPROTO);
	r = (struct ipc_request){.version = IPC_VERSION, .operation = IPC_READY};
	assert_int_equal(decode_request(r), 0);
	r.name = (struct client_name){"token:ci"};
	assert_int_equal(decode_request(r), -EPROTO);
}

static void a_refusal_has_a_reason_and_a_number_and_others_have_none(void **state)
{
	struct ipc_request r = {.version = IPC_VERSION,
		.operation = IPC_REFUSED,
		.refusal = {.reason = REFUSAL_PASSWORD, .count = 1}};

	(void)state;
	assert_int_equal(decode_request(r), 0);
	r.refusal.reason = REFUSAL_REASON_END;
	assert_int_equal(decode_request(r), -EPROTO);
	r.refusal.reason = 0;
	assert_int_equal(decode_request(r), -EPROTO);
	r.refusal = (struct refused_request){.reason = REFUSAL_PASSWORD};
	assert_int_equal(decode_request(r), -EPROTO);
	r = good_request(), r.refusal.reason = REFUSAL_PASSWORD;
	assert_int_equal(decode_request(r), -EPROTO);
}

static void a_request_about_ipip_has_the_clients_id_or_none(void **state)
{
	struct ipc_request r = good_request();

	(void)state;
	r.operation = IPC_CONNECT_IPIP;
	assert_int_equal(decode_request(r), 0);
	r.operation = IPC_DISCONNECT_IPIP;
	assert_int_equal(decode_request(r), 0);
	r.key = (struct key){0};
	assert_int_equal(decode_request(r), 0);
}

static void a_reply_with_a_field_out_of_range_is_refused(void **state)
{
	struct ipc_reply r;

	(void)state;
	assert_int_equal(decode_reply(good_reply()), 0);
	r = good_reply(), r.version++;
	assert_int_equal(decode_reply(r), -EPROTO);
	r = good_reply(), r.kind = IPC_REPLY_KIND_END;
	assert_int_equal(decode_reply(r), -EPROTO);
	r = good_reply(), r.status = IPC_STATUS_END;
	assert_int_equal(decode_reply(r), -EPROTO);
	r = good_reply(), r.status = 0;
	assert_int_equal(decode_reply(r), -EPROTO);
	r = good_reply(), r.kind = IPC_DRAIN;
	assert_int_equal(decode_reply(r), -EPROTO);
	r = good_reply(), r.endpoint.bind.value = 1;
	assert_int_equal(decode_reply(r), -EPROTO);
	r = (struct ipc_reply){.version = IPC_VERSION, .kind = IPC_ENDPOINT_GONE};
	assert_int_equal(decode_reply(r), -EPROTO);
	r.endpoint.bind.value = 1;
	assert_int_equal(decode_reply(r), 0);
	r.kind = IPC_ENDPOINT;
	assert_int_equal(decode_reply(r), 0);
	r.endpoint.block.length = 33;
	assert_int_equal(decode_reply(r), -EPROTO);
	r = (struct ipc_reply){.version = IPC_VERSION, .kind = IPC_LIVE_SETTINGS};
	assert_int_equal(decode_reply(r), -EPROTO);
	r.live.max_connections_per_source = 1;
	assert_int_equal(decode_reply(r), 0);
	r.live.log_level = LOG_LEVEL_DEBUG + 1;
	assert_int_equal(decode_reply(r), -EPROTO);
	r = good_reply(), r.live.max_connections_per_source = 1;
	assert_int_equal(decode_reply(r), -EPROTO);
}

static void a_message_of_another_length_is_refused(void **state)
{
	unsigned char packet[sizeof(struct ipc_request) + 1] = {0};
	struct ipc_request request = good_request(), decoded;

	(void)state;
	memcpy(packet, &request, sizeof request);
	for (size_t n = 0; n <= sizeof packet; n++)
		assert_int_equal(
			ipc_decode_request(packet, n, &decoded), n == sizeof request ? 0 : -EPROTO);
}

static int receive(int fd, struct ipc_request *request, int *client)
{
	*client = -2;
	return ipc_receive_request(fd, request, client);
}

/* A packet as ipc_send_request() does not make it. */
static void send_with(int fd, const struct ipc_request *request, const int *descriptors, size_t n)
{
	_Alignas(struct cmsghdr) unsigned char control[CMSG_SPACE(MANY * sizeof(int))] = {0};
	struct iovec data = {(void *)request, sizeof *request};
	struct msghdr message = {.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = CMSG_SPACE(n * sizeof *descriptors)};
	struct cmsghdr *header = (struct cmsghdr *)control;

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(n * sizeof *descriptors);
	memcpy(CMSG_DATA(header), descriptors, n * sizeof *descriptors);
	assert_int_equal(sendmsg(fd, &message, 0), sizeof *request);
}

/* The number that the next one gets: descriptors that are left open show in it. */
static int next_descriptor(void)
{
	int fd = dup(STDERR_FILENO);

	close(fd);
	return fd;
}

static void make_socket(int ends[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
}

static void what_is_sent_arrives_with_the_clients_socket(void **state)
{
	struct ipc_request sent = good_request(), received;
	struct stat original, copy;
	int ends[2], client;

	(void)state;
	make_socket(ends);
	assert_int_equal(receive(ends[1], &received, &client), -EAGAIN);
	assert_int_equal(ipc_send_request(ends[0], &sent, STDERR_FILENO), 0);
	assert_int_equal(receive(ends[1], &received, &client), 0);
	assert_memory_equal(&sent, &received, sizeof sent);
	assert_int_equal(fstat(STDERR_FILENO, &original), 0);
	assert_int_equal(fstat(client, &copy), 0);
	assert_int_equal(copy.st_ino, original.st_ino);
	assert_int_equal(fcntl(client, F_GETFD), FD_CLOEXEC);
	close(client);
	close(ends[0]);
	close(ends[1]);
}

static void a_closed_end_is_noticed(void **state)
{
	struct ipc_request sent = good_request(), received;
	struct ipc_reply reply;
	int ends[2], client, descriptor;

	(void)state;
	make_socket(ends);
	assert_int_equal(send(ends[0], "x", 1, 0), 1);
	assert_int_equal(receive(ends[1], &received, &client), -EPROTO);
	close(ends[1]);
	assert_int_equal(ipc_receive_reply(ends[0], &reply, &descriptor), -EPIPE);
	assert_int_equal(ipc_send_request(ends[0], &sent, STDERR_FILENO), -EPIPE);
	close(ends[0]);
}

static void a_request_without_exactly_one_descriptor_is_refused_and_leaves_none_open(void **state)
{
	static const int descriptors[MANY] = {STDERR_FILENO, STDERR_FILENO, STDERR_FILENO};
	struct ipc_request request = good_request(), received, ready = good_request();
	int ends[2], client, next;

	(void)state;
	make_socket(ends);
	next = next_descriptor();
	assert_int_equal(ipc_send_request(ends[0], &request, -1), 0);
	assert_int_equal(receive(ends[1], &received, &client), -EPROTO);
	for (size_t n = 2; n <= MANY; n++) {
		send_with(ends[0], &request, descriptors, n);
		assert_int_equal(receive(ends[1], &received, &client), -EPROTO);
	}
	ready.operation = IPC_READY;
	ready.key = (struct key){0};
	assert_int_equal(ipc_send_request(ends[0], &ready, STDERR_FILENO), 0);
	assert_int_equal(receive(ends[1], &received, &client), -EPROTO);
	assert_int_equal(ipc_send_request(ends[0], &ready, -1), 0);
	assert_int_equal(receive(ends[1], &received, &client), 0);
	assert_int_equal(client, -1);
	request.version++;
	assert_int_equal(ipc_send_request(ends[0], &request, STDERR_FILENO), 0);
	assert_int_equal(receive(ends[1], &received, &client), -EPROTO);
	assert_int_equal(client, -1);
	assert_int_equal(next_descriptor(), next);
	close(ends[0]);
	close(ends[1]);
}

static void a_descriptor_comes_with_a_signer_and_with_nothing_else(void **state)
{
	struct ipc_reply answer = good_reply(), received;
	const struct ipc_reply signer = {.version = IPC_VERSION, .kind = IPC_SIGNER};
	const struct ipc_reply endpoint = {.version = IPC_VERSION,
		.kind = IPC_ENDPOINT,
		.endpoint = {.bind = {1}, .port = 50228}};
	int ends[2], descriptor;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
	assert_int_equal(ipc_send_reply(ends[0], &signer, STDIN_FILENO), 0);
	assert_int_equal(ipc_receive_reply(ends[1], &received, &descriptor), 0);
	assert_int_equal(received.kind, IPC_SIGNER);
	assert_true(descriptor > STDERR_FILENO);
	close(descriptor);
	assert_int_equal(ipc_send_reply(ends[0], &endpoint, STDIN_FILENO), 0);
	assert_int_equal(ipc_receive_reply(ends[1], &received, &descriptor), 0);
	assert_int_equal(received.endpoint.port, 50228);
	assert_true(descriptor >= 0);
	close(descriptor);
	assert_int_equal(ipc_send_reply(ends[0], &endpoint, -1), 0);
	assert_int_equal(ipc_receive_reply(ends[1], &received, &descriptor), -EPROTO);
	assert_int_equal(ipc_send_reply(ends[0], &signer, -1), 0);
	assert_int_equal(ipc_receive_reply(ends[1], &received, &descriptor), -EPROTO);
	assert_int_equal(ipc_send_reply(ends[0], &answer, STDIN_FILENO), 0);
	assert_int_equal(ipc_receive_reply(ends[1], &received, &descriptor), -EPROTO);
	assert_int_equal(descriptor, -1);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_have_no_padding_that_could_leak_memory),
		cmocka_unit_test(a_request_with_a_field_out_of_range_is_refused),
		cmocka_unit_test(a_name_that_is_none_and_one_of_a_gate_itself_are_refused),
		cmocka_unit_test(a_refusal_has_a_reason_and_a_number_and_others_have_none),
		cmocka_unit_test(a_request_about_ipip_has_the_clients_id_or_none),
		cmocka_unit_test(a_reply_with_a_field_out_of_range_is_refused),
		cmocka_unit_test(a_message_of_another_length_is_refused),
		cmocka_unit_test(what_is_sent_arrives_with_the_clients_socket),
		cmocka_unit_test(a_closed_end_is_noticed),
		cmocka_unit_test(
			a_request_without_exactly_one_descriptor_is_refused_and_leaves_none_open),
		cmocka_unit_test(a_descriptor_comes_with_a_signer_and_with_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
