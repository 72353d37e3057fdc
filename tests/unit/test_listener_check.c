#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "server/listener_check.h"

struct fixture {
	int listener, reference;
	struct ipv4 address;
	unsigned short port;
};

static int new_socket(void)
{
	const int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	return fd;
}

static int setup(void **state)
{
	static struct fixture f;
	struct sockaddr_in name = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof name;

	f = (struct fixture){new_socket(), new_socket(), {INADDR_LOOPBACK}, 0};
	*state = &f;
	if (bind(f.listener, (struct sockaddr *)&name, length) < 0 || listen(f.listener, 10) < 0 ||
		getsockname(f.listener, (struct sockaddr *)&name, &length) < 0)
		return -1;
	f.port = ntohs(name.sin_port);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	close(f->listener);
	close(f->reference);
	return 0;
}

static int check(const struct fixture *f, const char **what)
{
	return listener_check(f->listener, f->reference, f->address, f->port, what);
}

static void assert_refused(const struct fixture *f, const char *expected)
{
	const char *what = "";

	assert_int_equal(check(f, &what), -EPROTO);
	assert_string_equal(what, expected);
}

static void one_that_is_as_a_new_one_is_used_and_waits_for_nobody(void **state)
{
	struct fixture *f = *state;
	const char *what;

	fcntl(f->listener, F_SETFL, O_ASYNC);
	assert_int_equal(check(f, &what), 0);
	assert_int_equal(fcntl(f->listener, F_GETFL) & (O_NONBLOCK | O_ASYNC), O_NONBLOCK);
}

static void one_of_another_address_or_port_is_not_used(void **state)
{
	struct fixture *f = *state;

	f->port++;
	assert_refused(f, "where it listens");
	f->port--;
	f->address.value++;
	assert_refused(f, "where it listens");
}

static void one_that_does_not_listen_is_not_used(void **state)
{
	struct fixture *f = *state;

	shutdown(f->listener, SHUT_RDWR);
	assert_refused(f, "where it listens");
	close(f->listener);
	f->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_refused(f, "where it listens");
}

/* Of numbers; each with a value that a new socket does not have. */
static void one_of_which_an_option_was_set_is_not_used(void **state)
{
	static const struct {
		int level, name, value;
		const char *text;
	} options[] = {
		{SOL_SOCKET, SO_LOCK_FILTER, 1, "SO_LOCK_FILTER"},
		{SOL_SOCKET, SO_REUSEADDR, 0, "SO_REUSEADDR"},
		{SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT"},
		{SOL_SOCKET, SO_KEEPALIVE, 1, "SO_KEEPALIVE"},
		{SOL_SOCKET, SO_OOBINLINE, 1, "SO_OOBINLINE"},
		{SOL_SOCKET, SO_DONTROUTE, 1, "SO_DONTROUTE"},
		{SOL_SOCKET, SO_RCVLOWAT, 1 << 20, "SO_RCVLOWAT"},
		{SOL_SOCKET, SO_PRIORITY, 3, "SO_PRIORITY"},
		{SOL_SOCKET, SO_MAX_PACING_RATE, 1000, "SO_MAX_PACING_RATE"},
		{IPPROTO_IP, IP_FREEBIND, 1, "IP_FREEBIND"},
		{IPPROTO_IP, IP_TOS, 4, "IP_TOS"},
		{IPPROTO_IP, IP_TTL, 1, "IP_TTL"},
		{IPPROTO_IP, IP_MINTTL, 255, "IP_MINTTL"},
		{IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT, "IP_MTU_DISCOVER"},
		{IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY"},
		{IPPROTO_TCP, TCP_CORK, 1, "TCP_CORK"},
		{IPPROTO_TCP, TCP_QUICKACK, 0, "TCP_QUICKACK"},
		{IPPROTO_TCP, TCP_DEFER_ACCEPT, 5, "TCP_DEFER_ACCEPT"},
		{IPPROTO_TCP, TCP_MAXSEG, 100, "TCP_MAXSEG"},
		{IPPROTO_TCP, TCP_WINDOW_CLAMP, 10000, "TCP_WINDOW_CLAMP"},
		{IPPROTO_TCP, TCP_USER_TIMEOUT, 1, "TCP_USER_TIMEOUT"},
		{IPPROTO_TCP, TCP_FASTOPEN, 5, "TCP_FASTOPEN"},
		{IPPROTO_TCP, TCP_SAVE_SYN, 1, "TCP_SAVE_SYN"},
	};

	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		struct fixture *f = *state;

		teardown(state);
		assert_int_equal(setup(state), 0);
		assert_int_equal(setsockopt(f->listener, options[i].level, options[i].name,
					 &options[i].value, sizeof options[i].value),
			0);
		assert_refused(f, options[i].text);
	}
}

static void one_whose_options_are_more_than_a_number_is_compared_too(void **state)
{
	static const struct linger linger = {1, 0};
	static const struct timeval second = {1, 0};
	static const unsigned char no_operations[4] = {1, 1, 1, 1};
	struct fixture *f = *state;

	setsockopt(f->listener, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
	assert_refused(f, "SO_LINGER");
	teardown(state);
	setup(state);
	setsockopt(f->listener, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
	assert_refused(f, "SO_RCVTIMEO");
	teardown(state);
	setup(state);
	setsockopt(f->listener, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof second);
	assert_refused(f, "SO_SNDTIMEO");
	teardown(state);
	setup(state);
	assert_int_equal(setsockopt(f->listener, IPPROTO_IP, IP_OPTIONS, no_operations,
				 sizeof no_operations),
		0);
	assert_refused(f, "IP_OPTIONS");
}

static void one_that_is_bound_to_an_interface_is_not_used(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(setsockopt(f->listener, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2), 0);
	assert_refused(f, "SO_BINDTODEVICE");
}

static void one_with_a_packet_filter_is_not_used(void **state)
{
	struct sock_filter drop_all = BPF_STMT(BPF_RET | BPF_K, 0);
	const struct sock_fprog program = {1, &drop_all};
	struct fixture *f = *state;

	assert_int_equal(
		setsockopt(f->listener, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0);
	assert_refused(f, "a packet filter");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			one_that_is_as_a_new_one_is_used_and_waits_for_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(
			one_of_another_address_or_port_is_not_used, setup, teardown),
		cmocka_unit_test_setup_teardown(
			one_that_does_not_listen_is_not_used, setup, teardown),
		cmocka_unit_test_setup_teardown(
			one_of_which_an_option_was_set_is_not_used, setup, teardown),
		cmocka_unit_test_setup_teardown(
			one_whose_options_are_more_than_a_number_is_compared_too, setup, teardown),
		cmocka_unit_test_setup_teardown(
			one_that_is_bound_to_an_interface_is_not_used, setup, teardown),
		cmocka_unit_test_setup_teardown(
			one_with_a_packet_filter_is_not_used, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
