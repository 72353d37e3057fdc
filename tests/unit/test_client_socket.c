#include "test.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/client_socket.h"

struct fixture {
	int listener, client, accepted;
	int ours; /* a socket of the broker's */
	struct sockaddr_in address; /* the listener's */
};

static int setup(void **state)
{
	static struct fixture f;
	socklen_t length = sizeof f.address;

	f = (struct fixture){.listener = socket(AF_INET, SOCK_STREAM, 0),
		.client = socket(AF_INET, SOCK_STREAM, 0),
		.ours = socket(AF_UNIX, SOCK_SEQPACKET, 0),
		.address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1)}};
	*state = &f;
	if (bind(f.listener, (struct sockaddr *)&f.address, length) < 0 ||
		listen(f.listener, 1) < 0 ||
		getsockname(f.listener, (struct sockaddr *)&f.address, &length) < 0 ||
		connect(f.client, (struct sockaddr *)&f.address, length) < 0)
		return -1;
	f.accepted = accept(f.listener, NULL, NULL);
	return f.accepted < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	close(f->listener);
	close(f->client);
	close(f->accepted);
	close(f->ours);
	return 0;
}

static int claim(const struct fixture *f, int fd)
{
	struct client_socket client;

	return client_socket_claim(fd, f->ours, &client);
}

static void the_addresses_are_those_of_the_connection(void **state)
{
	struct fixture *f = *state;
	struct client_socket client;

	assert_int_equal(client_socket_claim(f->accepted, f->ours, &client), 0);
	assert_int_equal(client.peer.value, INADDR_LOOPBACK);
	assert_int_equal(client.local.value, INADDR_LOOPBACK + 1);
	assert_int_equal(client.local_port, ntohs(f->address.sin_port));
}

static void a_socket_is_good_for_one_request(void **state)
{
	static const int off = 0;
	struct fixture *f = *state;
	int copy;

	assert_int_equal(claim(f, f->accepted), 0);
	assert_int_equal(claim(f, f->accepted), -EALREADY);
	copy = dup(f->accepted);
	setsockopt(copy, SOL_SOCKET, SO_LOCK_FILTER, &off, sizeof off);
	assert_int_equal(claim(f, copy), -EALREADY);
	close(copy);
}

static void a_client_that_has_sent_its_last_byte_may_ask(void **state)
{
	struct fixture *f = *state;

	shutdown(f->client, SHUT_WR);
	assert_int_equal(claim(f, f->accepted), 0);
}

static void a_client_that_is_gone_is_nobody_to_ask_for(void **state)
{
	static const struct linger reset = {1, 0};
	struct fixture *f = *state;

	setsockopt(f->client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	close(f->client);
	f->client = -1;
	assert_int_equal(claim(f, f->accepted), -ENOTCONN);
}

static void a_socket_that_was_never_connected_is_no_clients(void **state)
{
	struct fixture *f = *state;
	int fresh = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(claim(f, f->listener), -EPROTO);
	assert_int_equal(claim(f, fresh), -ENOTCONN);
	close(fresh);
}

static void sockets_of_other_kinds_and_files_are_no_clients(void **state)
{
	const struct {
		int domain, type, protocol;
	} kinds[] = {
		{AF_INET, SOCK_DGRAM, 0},
		{AF_INET6, SOCK_STREAM, 0},
		{AF_UNIX, SOCK_STREAM, 0},
		{AF_UNIX, SOCK_SEQPACKET, 0},
		{AF_NETLINK, SOCK_RAW, 0},
		{AF_INET, SOCK_STREAM, IPPROTO_MPTCP},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		int fd = socket(kinds[i].domain, kinds[i].type, kinds[i].protocol);

		/* Not all kernels have all kinds. */
		if (fd < 0)
			continue;
		connect(fd, (struct sockaddr *)&f->address, sizeof f->address);
		assert_int_equal(claim(f, fd), -EPROTO);
		close(fd);
	}
	assert_int_equal(claim(f, STDERR_FILENO), -EPROTO);
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		RULE(the_addresses_are_those_of_the_connection),
		RULE(a_socket_is_good_for_one_request),
		RULE(a_client_that_has_sent_its_last_byte_may_ask),
		RULE(a_client_that_is_gone_is_nobody_to_ask_for),
		RULE(a_socket_that_was_never_connected_is_no_clients),
		RULE(sockets_of_other_kinds_and_files_are_no_clients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
