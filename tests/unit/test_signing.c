#include "test.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/signing.h"

static struct signing_request good_request(void)
{
	return (struct signing_request){.version = SIGNING_VERSION,
		.digest = SIGNING_SHA256,
		.padding = SIGNING_PSS,
		.id = 7,
		.length = SIGNING_CONTENT_MAX};
}

static struct signing_reply good_reply(void)
{
	return (struct signing_reply){
		.version = SIGNING_VERSION, .status = SIGNING_OK, .length = SIGNATURE_MAX, .id = 7};
}

static int decode_request(struct signing_request request)
{
	struct signing_request decoded;

	return signing_decode_request(&request, sizeof request, &decoded);
}

static int decode_reply(struct signing_reply reply)
{
	struct signing_reply decoded;

	return signing_decode_reply(&reply, sizeof reply, &decoded);
}

static void messages_have_no_padding_that_could_leak_memory(void **state)
{
	(void)state;
	assert_int_equal(
		sizeof(struct signing_request), 4 + 2 + 2 + 8 + 4 + 4 + SIGNING_CONTENT_MAX);
	assert_int_equal(sizeof(struct signing_reply), 4 + 2 + 2 + 8 + SIGNATURE_MAX);
	assert_int_equal(sizeof(struct signer_notice), 20);
	assert_int_equal(sizeof(struct signer_config), 24);
}

static void a_request_with_a_field_out_of_range_is_refused(void **state)
{
	struct signing_request r;

	(void)state;
	assert_int_equal(decode_request(good_request()), 0);
	r = good_request(), r.version++;
	assert_int_equal(decode_request(r), -EPROTO);
	r = good_request(), r.digest = 0;
	assert_int_equal(decode_request(r), -EPROTO);
	r = good_request(), r.digest = SIGNING_DIGEST_END;
	assert_int_equal(decode_request(r), -EPROTO);
	r = good_request(), r.padding = 0;
	assert_int_equal(decode_request(r), -EPROTO);
	r = good_request(), r.padding = SIGNING_PADDING_END;
	assert_int_equal(decode_request(r), -EPROTO);
	r = good_request(), r.length = SIGNING_CONTENT_MAX + 1;
	assert_int_equal(decode_request(r), -EPROTO);
	r = good_request(), r.reserved = 1;
	assert_int_equal(decode_request(r), -EPROTO);
}

static void a_reply_with_a_field_out_of_range_is_refused(void **state)
{
	struct signing_reply r;

	(void)state;
	assert_int_equal(decode_reply(good_reply()), 0);
	r = good_reply(), r.version++;
	assert_int_equal(decode_reply(r), -EPROTO);
	r = good_reply(), r.status = 0;
	assert_int_equal(decode_reply(r), -EPROTO);
	r = good_reply(), r.status = SIGNING_STATUS_END;
	assert_int_equal(decode_reply(r), -EPROTO);
	r = good_reply(), r.length = SIGNATURE_MAX + 1;
	assert_int_equal(decode_reply(r), -EPROTO);
	r = good_reply(), r.length = 0;
	assert_int_equal(decode_reply(r), -EPROTO);
	r = good_reply(), r.status = SIGNING_REFUSED;
	assert_int_equal(decode_reply(r), -EPROTO);
}

static void a_message_of_another_length_is_refused(void **state)
{
	unsigned char packet[sizeof(struct signing_request) + 1] = {0};
	struct signing_request request = good_request(), decoded;

	(void)state;
	memcpy(packet, &request, sizeof request);
	for (size_t n = 0; n <= sizeof packet; n++)
		assert_int_equal(signing_decode_request(packet, n, &decoded),
			n == sizeof request ? 0 : -EPROTO);
}

static void a_notice_brings_a_socket_and_says_whose(void **state)
{
	const struct signer_notice sent = {
		.version = SIGNING_VERSION, .kind = SIGNER_SERVE, .gate = 3, .socket = 9};
	struct signer_notice received;
	int ends[2], descriptor;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
	assert_int_equal(signer_receive_notice(ends[1], &received, &descriptor), -EAGAIN);
	assert_int_equal(signer_send_notice(ends[0], &sent, STDIN_FILENO), 0);
	assert_int_equal(signer_receive_notice(ends[1], &received, &descriptor), 0);
	assert_int_equal(received.gate, 3);
	assert_int_equal(received.socket, 9);
	assert_true(descriptor > STDERR_FILENO);
	close(descriptor);
	assert_int_equal(send(ends[0], "x", 1, 0), 1);
	assert_int_equal(signer_receive_notice(ends[1], &received, &descriptor), -EPROTO);
	close(ends[0]);
	assert_int_equal(signer_receive_notice(ends[1], &received, &descriptor), -EPIPE);
	close(ends[1]);
}

static int pass_on(uint32_t kind, int descriptor)
{
	const struct signer_notice sent = {.version = SIGNING_VERSION, .kind = kind};
	struct signer_notice received;
	int ends[2], came, error;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
	assert_int_equal(signer_send_notice(ends[0], &sent, descriptor), 0);
	error = signer_receive_notice(ends[1], &received, &came);
	if (came >= 0)
		close(came);
	close(ends[0]);
	close(ends[1]);
	return error;
}

static void a_notice_of_another_kind_or_with_a_socket_too_many_or_too_few_is_refused(void **state)
{
	(void)state;
	assert_int_equal(pass_on(0, -1), -EPROTO);
	assert_int_equal(pass_on(SIGNER_NOTICE_KIND_END, -1), -EPROTO);
	assert_int_equal(pass_on(SIGNER_SERVE, -1), -EPROTO);
	for (uint32_t kind = SIGNER_SERVE + 1; kind < SIGNER_NOTICE_KIND_END; kind++) {
		assert_int_equal(pass_on(kind, -1), 0);
		assert_int_equal(pass_on(kind, STDIN_FILENO), -EPROTO);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_have_no_padding_that_could_leak_memory),
		cmocka_unit_test(a_request_with_a_field_out_of_range_is_refused),
		cmocka_unit_test(a_reply_with_a_field_out_of_range_is_refused),
		cmocka_unit_test(a_message_of_another_length_is_refused),
		cmocka_unit_test(a_notice_brings_a_socket_and_says_whose),
		cmocka_unit_test(
			a_notice_of_another_kind_or_with_a_socket_too_many_or_too_few_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
