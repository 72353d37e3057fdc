/* The request process is this program itself: what main() does with the argument "request". */
#include "test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <event2/event.h>

#include "client/request_supervisor.h"

static void count(void *context, const struct request_result *result)
{
	assert_int_equal(result->outcome, REQUEST_FAILED);
	++*(unsigned int *)context;
}

static const char *secret(void *context)
{
	(void)context;
	return "secret";
}

static void a_process_that_cannot_be_started_leaves_nothing(void **state)
{
	struct client_config config = {.server = "203.0.113.7", .password = secret};
	struct rlimit before, limit;
	unsigned int told = 0;
	struct request_supervisor supervisor = {.config = &config,
		.base = event_base_new(),
		.on_result = count,
		.context = &told,
		.look_up.fd = -1};
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
		assert_null(supervisor.next);
		assert_int_equal(supervisor.n_begun, 0);
	}
	event_base_free(supervisor.base);
}

/* What a process does that a false server has taken over, as the path tells it. */
static const char says_granted[] = "/says-granted", says_again[] = "/says-again";

/* Names with many addresses, of which the last one is good, or of which all are, but the last one
 * says so by its status. */
static const char one_is_good[] = "/one-is-good", all_are_good[] = "/all-are-good";
enum { N_NAMES = 60, LAST = N_NAMES };

static int be_one_of_many(const struct request_order *order)
{
	const struct request_server server = {.certified = 0};
	struct request_result answer = {.outcome = REQUEST_ANSWERED, .status = 200};
	struct request_names names = {.n = N_NAMES};
	struct request_verdict verdict;

	for (uint32_t i = 0; i < names.n; i++)
		names.addresses[i].value = i + 1;
	if (order->address.value == 0)
		return write(REQUEST_FD, &names, sizeof names) < 0;
	if (order->address.value != LAST && strcmp(order->path, one_is_good) == 0)
		return EXIT_FAILURE;
	answer.status = order->address.value == LAST ? 200 : 500;
	return write(REQUEST_FD, &server, sizeof server) < 0 ||
	       read(REQUEST_FD, &verdict, sizeof verdict) < 0 ||
	       write(REQUEST_FD, &answer, sizeof answer) < 0;
}

static int be_taken_over(void)
{
	const struct request_server server = {.certified = 0};
	const struct request_result granted = {.outcome = REQUEST_GRANTED};
	static struct request_order order;

	if (read(REQUEST_FD, &order, sizeof order) != sizeof order)
		return EXIT_FAILURE;
	if (strcmp(order.path, one_is_good) == 0 || strcmp(order.path, all_are_good) == 0)
		return be_one_of_many(&order);
	if (strcmp(order.path, says_granted) == 0)
		return write(REQUEST_FD, &granted, sizeof granted) < 0;
	/* And reads none of the verdicts. */
	while (write(REQUEST_FD, &server, sizeof server) > 0)
		continue;
	return EXIT_SUCCESS;
}

static void record(void *context, const struct request_result *result)
{
	*(struct request_result *)context = *result;
}

/* What the client takes the request for. */
static struct request_result ask(const char *path)
{
	struct client_config config = {
		.server = "203.0.113.7", .password = secret, .insecure = true};
	struct request_result result = {0};
	struct request_supervisor supervisor = {.config = &config,
		.base = event_base_new(),
		.on_result = record,
		.context = &result,
		.look_up.fd = -1};

	assert_non_null(supervisor.base);
	alarm(20);
	request_supervisor_start(&supervisor, path, (struct ipv4){0}, 10000);
	event_base_dispatch(supervisor.base);
	alarm(0);
	event_base_free(supervisor.base);
	return result;
}

static void what_comes_before_the_server_was_judged_is_no_answer(void **state)
{
	struct request_result result = ask(says_granted);

	(void)state;
	assert_int_equal(result.outcome, REQUEST_FAILED);
	assert_string_equal(result.text, "the process that asks the server broke off");
}

static void a_process_that_does_not_listen_holds_nobody_up(void **state)
{
	struct request_result result = ask(says_again);

	(void)state;
	assert_int_equal(result.outcome, REQUEST_FAILED);
	assert_string_equal(result.text, "the process that asks the server broke off");
}

static void every_address_has_its_turn_and_the_one_that_a_tunnel_worked_to_is_the_first_again(
	void **state)
{
	struct client_config config = {
		.server = "many.example", .password = secret, .insecure = true};
	struct request_result result = {0};
	struct request_supervisor supervisor = {.config = &config,
		.base = event_base_new(),
		.on_result = record,
		.context = &result,
		.look_up.fd = -1};

	(void)state;
	assert_non_null(supervisor.base);
	alarm(60);
	request_supervisor_start(&supervisor, all_are_good, (struct ipv4){0}, 60000);
	event_base_dispatch(supervisor.base);
	assert_int_equal(result.status, 500);
	request_supervisor_start(&supervisor, one_is_good, (struct ipv4){0}, 60000);
	event_base_dispatch(supervisor.base);
	assert_int_equal(result.status, 200);
	assert_int_equal(supervisor.order.last_good.value, 0); /* it has answered, no more */
	address_order_prove(&supervisor.order, (struct ipv4){LAST});
	request_supervisor_start(&supervisor, all_are_good, (struct ipv4){0}, 60000);
	event_base_dispatch(supervisor.base);
	assert_int_equal(result.status, 200);
	alarm(0);
	event_base_free(supervisor.base);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "request") == 0)
		return be_taken_over();

	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_that_cannot_be_started_leaves_nothing),
		cmocka_unit_test(what_comes_before_the_server_was_judged_is_no_answer),
		cmocka_unit_test(a_process_that_does_not_listen_holds_nobody_up),
		cmocka_unit_test(
			every_address_has_its_turn_and_the_one_that_a_tunnel_worked_to_is_the_first_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
