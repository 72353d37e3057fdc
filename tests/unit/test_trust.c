#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/trust.h"

static char path[] = "/tmp/test_trust-XXXXXX";
static const struct request_server one = {.pin = {{{1}}}, .fault = "self-signed certificate"};
static const struct request_server certified = {.pin = {{{2}}}, .certified = 1};

static int make_file(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "test");
	return fd < 0 ? -1 : close(fd);
}

static int empty_file(void **state)
{
	(void)state;
	return truncate(path, 0);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static struct client_config config_of(const char *server)
{
	return (struct client_config){.server = server, .known_servers = path};
}

static int decide(
	const struct client_config *config, const struct request_server *seen, const char *reason)
{
	char why[512] = "";
	int error = trust_decide(config, seen, why, sizeof why);

	assert_non_null(strstr(why, reason));
	return error;
}

static void the_first_key_is_trusted_and_no_other_after_it(void **state)
{
	struct client_config config = config_of("a");

	(void)state;
	assert_int_equal(decide(&config, &one, ""), 0);
	assert_int_equal(decide(&config, &one, ""), 0);
	assert_int_equal(
		decide(&config, &certified, "remove the server's line from /tmp/"), -EPERM);
}

static void one_of_the_pins_has_to_fit(void **state)
{
	struct client_config config = config_of("a");

	(void)state;
	config.pins[0] = (struct pin){{{9}}};
	config.n_pins = 1;
	assert_int_equal(decide(&config, &one, "which no --pin names"), -EPERM);
	config.pins[1] = one.pin;
	config.n_pins = 2;
	assert_int_equal(decide(&config, &one, ""), 0);
	/* and nothing was remembered */
	config.n_pins = 0;
	assert_int_equal(decide(&config, &certified, ""), 0);
}

static void a_certificate_and_a_pin_both_have_to_fit(void **state)
{
	struct client_config config = config_of("a");

	(void)state;
	config.ca_file = "ca.pem";
	assert_int_equal(decide(&config, &certified, ""), 0);
	assert_int_equal(decide(&config, &one, "self-signed certificate"), -EPERM);
	config.pins[0] = one.pin;
	config.n_pins = 1;
	assert_int_equal(decide(&config, &one, "self-signed certificate"), -EPERM);
	assert_int_equal(decide(&config, &certified, "which no --pin names"), -EPERM);
}

static void insecure_trusts_anybody(void **state)
{
	struct client_config config = config_of("a");

	(void)state;
	assert_int_equal(decide(&config, &one, ""), 0);
	config.insecure = true;
	assert_int_equal(decide(&config, &certified, ""), 0);
}

static void nobody_is_trusted_if_the_file_cannot_be_used(void **state)
{
	struct client_config config = config_of("a");

	(void)state;
	config.known_servers = "/proc/none/known-servers";
	assert_true(decide(&config, &one, "cannot look a up") < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_first_key_is_trusted_and_no_other_after_it, empty_file),
		cmocka_unit_test_setup(one_of_the_pins_has_to_fit, empty_file),
		cmocka_unit_test_setup(a_certificate_and_a_pin_both_have_to_fit, empty_file),
		cmocka_unit_test_setup(insecure_trusts_anybody, empty_file),
		cmocka_unit_test_setup(nobody_is_trusted_if_the_file_cannot_be_used, empty_file),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
