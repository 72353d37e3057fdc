#include "test.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/storing.h"

static const struct ipv4 bind_address = {0xcb007107}, inner = {0x0a640002}, remote = {0xc0000201};

static struct storing_message peer_message(uint32_t operation, enum stored_kind kind)
{
	struct storing_message message = {
		.version = STORING_VERSION,
		.operation = operation,
		.peer = {.bind = bind_address, .inner = inner, .kind = kind},
	};

	if (kind == STORED_IPIP)
		message.peer.remote = remote;
	else
		message.peer.key.bytes[0] = 9;
	return message;
}

static void messages_have_no_padding_that_could_leak_memory(void **state)
{
	(void)state;
	assert_int_equal(sizeof(struct stored_endpoint), 6 * 4 + KEY_SIZE + 2 * 8);
	assert_int_equal(sizeof(struct stored_peer), 6 * 4 + KEY_SIZE + 2 * 8 + CLIENT_NAME_SIZE);
	assert_int_equal(sizeof(struct storing_message),
		4 * 4 + 8 + sizeof(struct stored_endpoint) + sizeof(struct stored_peer) +
			sizeof(struct stored_state) + STORED_HOST_SIZE);
	assert_int_equal(sizeof(struct stored_state), 2 * 8 + 4 * 4);
}

static int decode(const struct storing_message *message)
{
	struct storing_message decoded;

	return storing_decode_order(message, sizeof *message, &decoded);
}

static void a_peer_has_what_its_kind_has(void **state)
{
	struct storing_message wireguard = peer_message(STORING_PUT_PEER, STORED_WIREGUARD);
	struct storing_message ipip = peer_message(STORING_PUT_PEER, STORED_IPIP);

	(void)state;
	assert_int_equal(decode(&wireguard), 0);
	assert_int_equal(decode(&ipip), 0);
	wireguard.peer.remote = remote;
	assert_int_equal(decode(&wireguard), -EPROTO);
	ipip.peer.remote.value = 0;
	assert_int_equal(decode(&ipip), -EPROTO);
}

static void what_is_out_of_range_is_refused(void **state)
{
	struct storing_message message = peer_message(STORING_PUT_PEER, STORED_IPIP), decoded;

	(void)state;
	message.peer.kind = STORED_KIND_END;
	assert_int_equal(decode(&message), -EPROTO);
	message = peer_message(STORING_PUT_PEER, STORED_IPIP);
	message.peer.outer_port = 65536;
	assert_int_equal(decode(&message), -EPROTO);
	message = peer_message(STORING_PUT_PEER, STORED_IPIP);
	memset(&message.peer.name, 'n', sizeof message.peer.name);
	assert_int_equal(decode(&message), -EPROTO);
	message = peer_message(STORING_PUT_PEER, STORED_IPIP);
	message.peer.name = (struct client_name){"token:a\x1b[2J"};
	assert_int_equal(decode(&message), -EPROTO);
	message.peer.name = (struct client_name){"token:a"};
	assert_int_equal(decode(&message), 0);
	memset(message.host, 'n', sizeof message.host);
	assert_int_equal(decode(&message), -EPROTO);
	message = peer_message(STORING_PUT_PEER, STORED_IPIP);
	message.operation = STORING_OPERATION_END;
	assert_int_equal(decode(&message), -EPROTO);
	message = peer_message(STORING_PUT_PEER, STORED_IPIP);
	message.more_come = 1;
	assert_int_equal(decode(&message), 0);
	message.more_come = 2;
	assert_int_equal(decode(&message), -EPROTO);
	message.more_come = 0;
	message.reserved = 1;
	assert_int_equal(decode(&message), -EPROTO);
	message = (struct storing_message){.version = STORING_VERSION,
		.operation = STORING_PUT_ENDPOINT,
		.endpoint = {.bind = bind_address, .length = 33}};
	assert_int_equal(decode(&message), -EPROTO);
	message = (struct storing_message){.version = STORING_VERSION,
		.operation = STORING_STATE,
		.state = {.n_addresses = 2, .n_need_second_key = 2}};
	assert_int_equal(storing_decode_report(&message, sizeof message, &decoded), 0);
	message.state.n_need_second_key = 3;
	assert_int_equal(storing_decode_report(&message, sizeof message, &decoded), -EPROTO);
}

static void neither_end_takes_what_only_the_other_may_say(void **state)
{
	struct storing_message report = peer_message(STORING_PEER, STORED_IPIP);
	struct storing_message order = peer_message(STORING_PUT_PEER, STORED_IPIP), decoded;

	(void)state;
	assert_int_equal(decode(&report), -EPROTO);
	assert_int_equal(storing_decode_report(&order, sizeof order, &decoded), -EPROTO);
	assert_int_equal(storing_decode_report(&report, sizeof report, &decoded), 0);
	report.more_come = 1;
	assert_int_equal(storing_decode_report(&report, sizeof report, &decoded), -EPROTO);
}

static void what_is_of_another_version_says_so_whatever_its_length(void **state)
{
	struct storing_message message = peer_message(STORING_PUT_PEER, STORED_IPIP), decoded;
	struct store_config config = {.version = STORING_VERSION + 1, .folder = "/"};

	(void)state;
	message.version++;
	assert_int_equal(decode(&message), -EPROTONOSUPPORT);
	assert_int_equal(storing_decode_report(&message, sizeof message.version, &decoded),
		-EPROTONOSUPPORT);
	assert_int_equal(
		storing_decode_report(&message, sizeof message - 8, &decoded), -EPROTONOSUPPORT);
	assert_int_equal(storing_decode_config(&config, sizeof config, &config), -EPROTONOSUPPORT);
	assert_int_equal(
		storing_decode_config(&config, sizeof config - 1, &config), -EPROTONOSUPPORT);
	assert_int_equal(storing_decode_report(&message, 3, &decoded), -EPROTO);
}

static void a_message_of_another_length_is_refused(void **state)
{
	struct storing_message sent = peer_message(STORING_PUT_PEER, STORED_IPIP), received;
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	assert_int_equal(storing_send(ends[0], &sent), 0);
	assert_int_equal(storing_receive_order(ends[1], &received), 0);
	assert_memory_equal(&sent, &received, sizeof sent);
	assert_int_equal(send(ends[0], &sent, sizeof sent - 1, 0), sizeof sent - 1);
	assert_int_equal(storing_receive_order(ends[1], &received), -EPROTO);
	close(ends[0]);
	assert_int_equal(storing_receive_order(ends[1], &received), -EPIPE);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_have_no_padding_that_could_leak_memory),
		cmocka_unit_test(a_peer_has_what_its_kind_has),
		cmocka_unit_test(what_is_out_of_range_is_refused),
		cmocka_unit_test(what_is_of_another_version_says_so_whatever_its_length),
		cmocka_unit_test(neither_end_takes_what_only_the_other_may_say),
		cmocka_unit_test(a_message_of_another_length_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
