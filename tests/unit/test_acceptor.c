#include "test.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "gate/acceptor.h"
#include "gate/admission.h"

enum {
	CLIENTS = 20,
	SPARE_FILES = 5,
	WATCHED_MS = 350, /* longer than a few of the acceptor's pauses */
	MAX_TURNS = 100, /* of the event loop in that time; a busy loop makes thousands */
};

static int listen_on_loopback(struct sockaddr_in *address)
{
	socklen_t length = sizeof *address;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	*address = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)address, sizeof *address), 0);
	assert_int_equal(listen(fd, CLIENTS), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)address, &length), 0);
	return fd;
}

static void allow_files(int n)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = n ? (rlim_t)n : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void too_few_descriptors_make_room_instead_of_a_busy_loop(void **state)
{
	struct connection_set set = {.base = event_base_new(),
		.clock = &system_clock,
		.max = 2 * CLIENTS,
		.max_per_source = 2 * CLIENTS};
	const struct gate_endpoint endpoint = {.bind = {INADDR_LOOPBACK}};
	struct sockaddr_in address;
	int listening = listen_on_loopback(&address), clients[CLIENTS], turns = 0;
	struct acceptor *acceptor;
	uint64_t start = clock_now_ms(&system_clock);

	(void)state;
	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "test");
	assert_int_equal(connection_set_init(&set), 0);
	acceptor = acceptor_new(set.base, &set);
	assert_non_null(acceptor);
	assert_int_equal(evutil_make_socket_nonblocking(listening), 0);
	assert_int_equal(acceptor_add(acceptor, listening, &endpoint), 0);
	acceptor_resume(acceptor);
	for (int i = 0; i < CLIENTS; i++) {
		clients[i] = socket(AF_INET, SOCK_STREAM, 0);
		assert_int_equal(
			connect(clients[i], (struct sockaddr *)&address, sizeof address), 0);
	}
	allow_files(clients[CLIENTS - 1] + 1 + SPARE_FILES);

	while (clock_now_ms(&system_clock) - start < WATCHED_MS) {
		event_base_loop(set.base, EVLOOP_ONCE);
		turns++;
	}
	assert_true(turns < MAX_TURNS);
	assert_in_range(set.count, 1, SPARE_FILES);
	/* The oldest have gone to make room for later ones. */
	char byte;

	assert_int_equal(recv(clients[0], &byte, 1, MSG_DONTWAIT), 0);

	allow_files(0);
	for (int i = 0; i < CLIENTS; i++)
		close(clients[i]);
	acceptor_free(acceptor);
	admission_close_all(&set);
	connection_set_free(&set);
	event_base_free(set.base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(too_few_descriptors_make_room_instead_of_a_busy_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
