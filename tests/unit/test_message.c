#include "test.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/message.h"

enum {
	N_ENDPOINTS = 2,
};

static struct ipc_request good_request(void)
{
	return (struct ipc_request){
		.version = IPC_VERSION,
		.operation = IPC_CONNECT_WIREGUARD,
		.endpoint = 1,
		.id = 7,
		.source = {0x0a000001},
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

	return ipc_decode_request(&request, sizeof request, N_ENDPOINTS, &decoded);
}

static int decode_reply(struct ipc_reply reply)
{
	struct ipc_reply decoded;

	return ipc_decode_reply(&reply, sizeof reply, &decoded);
}

static void messages_have_no_padding_that_could_leak_memory(void **state)
{
	(void)state;
	assert_int_equal(sizeof(struct ipc_request), 4 + 2 + 2 + 8 + 4 + 32 + 4);
	assert_int_equal(sizeof(struct ipc_reply), 4 + 2 + 2 + 8 + 4 + 4);
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
	r = good_request(), r.endpoint = N_ENDPOINTS;
	assert_int_equal(decode_request(r), -EPROTO);
	r = good_request(), r.reserved = 1;
	assert_int_equal(decode_request(r), -EPROTO);
	r = good_request(), r.key = (struct key){0};
	assert_int_equal(decode_request(r), -EPROTO);
	r = good_request(), r.operation = IPC_CONNECT_IPIP;
	assert_int_equal(decode_request(r), -EPROTO);
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
}

static void a_message_of_another_length_is_refused(void **state)
{
	unsigned char packet[sizeof(struct ipc_request) + 1] = {0};
	struct ipc_request request = good_request(), decoded;

	(void)state;
	memcpy(packet, &request, sizeof request);
	for (size_t n = 0; n <= sizeof packet; n++)
		assert_int_equal(ipc_decode_request(packet, n, N_ENDPOINTS, &decoded),
			n == sizeof request ? 0 : -EPROTO);
}

static void what_is_sent_arrives_and_a_closed_end_is_noticed(void **state)
{
	struct ipc_request sent = good_request(), received;
	struct ipc_reply reply;
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
	assert_int_equal(ipc_receive_request(ends[1], N_ENDPOINTS, &received), -EAGAIN);
	assert_int_equal(ipc_send_request(ends[0], &sent), 0);
	assert_int_equal(ipc_receive_request(ends[1], N_ENDPOINTS, &received), 0);
	assert_memory_equal(&sent, &received, sizeof sent);
	assert_int_equal(send(ends[0], "x", 1, 0), 1);
	assert_int_equal(ipc_receive_request(ends[1], N_ENDPOINTS, &received), -EPROTO);
	close(ends[1]);
	assert_int_equal(ipc_receive_reply(ends[0], &reply), -EPIPE);
	assert_int_equal(ipc_send_request(ends[0], &sent), -EPIPE);
	close(ends[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_have_no_padding_that_could_leak_memory),
		cmocka_unit_test(a_request_with_a_field_out_of_range_is_refused),
		cmocka_unit_test(a_reply_with_a_field_out_of_range_is_refused),
		cmocka_unit_test(a_message_of_another_length_is_refused),
		cmocka_unit_test(what_is_sent_arrives_and_a_closed_end_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
