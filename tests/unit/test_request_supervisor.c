#include "test.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <event2/event.h>

#include "client/request_supervisor.h"

static void count(void *context, const struct request_result *result)
{
	assert_int_equal(result->outcome, REQUEST_FAILED);
	++*(unsigned int *)context;
}

static void a_process_that_cannot_be_started_leaves_nothing(void **state)
{
	struct client_config config = {.server = "203.0.113.7", .password = "secret"};
	struct rlimit before, limit;
	unsigned int told = 0;
	struct request_supervisor supervisor = {.config = &config,
		.base = event_base_new(),
		.on_result = count,
		.context = &told,
		.fd = -1};
	int next;

	(void)state;
	assert_non_null(supervisor.base);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	next = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(next >= 0);
	close(next);
	limit = (struct rlimit){(rlim_t)next, before.rlim_max};
	for (unsigned int i = 1; i <= 3; i++) {
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
		request_supervisor_start(&supervisor, "/connect", (struct ipv4){0}, 1000);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
		event_base_dispatch(supervisor.base);
		assert_int_equal(told, i);
		assert_null(supervisor.timeout);
		assert_null(supervisor.readable);
	}
	event_base_free(supervisor.base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_that_cannot_be_started_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
