#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/descriptor.h"
#include "ipc/flow_process.h"

struct pair {
	int ends[2];
};

static int set_up(void **state)
{
	static struct pair pair;

	*state = &pair;
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair.ends);
}

static int tear_down(void **state)
{
	const struct pair *pair = *state;

	close(pair->ends[0]);
	close(pair->ends[1]);
	return 0;
}

static const struct flows_message begin = {
	.version = FLOWS_VERSION,
	.kind = FLOWS_BEGIN,
	.inner = {0x0a640002},
	.client = FLOWS_IPIP,
	.name.s = "token:ci",
	.when_ns = 5,
};

/* What the other end makes of it. A descriptor that comes is closed. */
static int receive(const struct pair *pair, struct flows_message *message)
{
	int descriptor, error = flows_receive(pair->ends[1], message, &descriptor);

	if (descriptor >= 0)
		close(descriptor);
	return error;
}

static int pass(const struct pair *pair, const struct flows_message *message, int descriptor)
{
	struct flows_message received;

	assert_int_equal(flows_send(pair->ends[0], message, descriptor), 0);
	return receive(pair, &received);
}

static void a_message_arrives_as_it_was_sent(void **state)
{
	const struct pair *pair = *state;
	struct flows_message received;

	assert_int_equal(flows_send(pair->ends[0], &begin, -1), 0);
	assert_int_equal(receive(pair, &received), 0);
	assert_memory_equal(&received, &begin, sizeof begin);
	assert_int_equal(receive(pair, &received), -EAGAIN);
}

static void what_is_shorter_or_longer_is_no_message(void **state)
{
	const struct pair *pair = *state;
	unsigned char packet[sizeof begin + 8] = {0};
	struct flows_message received;

	memcpy(packet, &begin, sizeof begin);
	for (size_t length = 1; length <= sizeof packet; length++) {
		assert_int_equal(send(pair->ends[0], packet, length, 0), (ssize_t)length);
		assert_int_equal(receive(pair, &received), length == sizeof begin ? 0 : -EPROTO);
	}
}

static void what_is_out_of_its_range_is_no_message(void **state)
{
	const struct pair *pair = *state;
	struct flows_message wrong[] = {begin, begin, begin, begin, begin, begin, begin, begin};

	wrong[0].version = FLOWS_VERSION + 1;
	wrong[1].kind = 0;
	wrong[2].kind = FLOWS_KIND_END;
	wrong[3].client = 0;
	wrong[4].client = FLOWS_CLIENT_END;
	wrong[5].kind = FLOWS_END; /* that says whose it is */
	wrong[6].block_length = 33;
	memset(wrong[7].name.s, 'a', sizeof wrong[7].name.s); /* without an end */
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_int_equal(pass(pair, &wrong[i], -1), -EPROTO);
}

/* A quote, a newline or an escape could make two lines of the log out of one. */
static void a_name_that_no_gate_makes_is_none(void **state)
{
	static const char *const names[] = {
		"token:a\nb", "token:\x1b[2J", "token:a b", "ci", "token:", "token:\x80", "x:y"};
	const struct pair *pair = *state;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct flows_message message = begin;

		memset(message.name.s, 0, sizeof message.name.s);
		strcpy(message.name.s, names[i]);
		assert_int_equal(pass(pair, &message, -1), -EPROTO);
	}
}

static void a_descriptor_goes_with_a_file_and_with_nothing_else(void **state)
{
	const struct flows_message file = {.version = FLOWS_VERSION, .kind = FLOWS_FILE};
	const struct pair *pair = *state;
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	assert_int_equal(pass(pair, &file, fd), 0);
	assert_int_equal(pass(pair, &file, -1), -EPROTO);
	assert_int_equal(pass(pair, &begin, fd), -EPROTO);
	close(fd);
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		RULE(a_message_arrives_as_it_was_sent),
		RULE(what_is_shorter_or_longer_is_no_message),
		RULE(what_is_out_of_its_range_is_no_message),
		RULE(a_name_that_no_gate_makes_is_none),
		RULE(a_descriptor_goes_with_a_file_and_with_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
