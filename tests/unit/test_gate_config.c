#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/gate_config.h"

static char certificate[] = "certificate";

static int write_config(struct gate_config config)
{
	struct gate_endpoint endpoints[2] = {
		{.bind = {1}, .block = {{0x0a000000}, 8}, .public_key = {{7}}, .port = 50227},
		{.bind = {2}, .block = {{0x0b000000}, 8}, .public_key = {{7}}, .port = 50228},
	};
	const struct gate_settings settings = {config, endpoints, certificate};

	return gate_config_write(&settings);
}

static struct gate_config good(void)
{
	return (struct gate_config){
		.version = GATE_CONFIG_VERSION,
		.n_endpoints = 2,
		.max_endpoints = 2,
		.n_gates = 3,
		.certificate_length = sizeof certificate - 1,
		.live = {.log_level = 2},
	};
}

static void a_gate_reads_what_the_broker_wrote(void **state)
{
	struct gate_settings settings;
	int fd = write_config(good());

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(gate_config_read(fd, &settings), 0);
	assert_int_equal(settings.config.live.log_level, 2);
	assert_string_equal(settings.certificate, certificate);
	assert_int_equal(settings.endpoints[1].port, 50228);
	gate_settings_free(&settings);
	close(fd);
}

static void nobody_can_change_the_configuration_once_it_is_written(void **state)
{
	int fd = write_config(good());

	(void)state;
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_ptr_equal(mmap(NULL, 1, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	close(fd);
}

static void lengths_that_do_not_add_up_are_refused(void **state)
{
	struct gate_settings settings;
	struct gate_config bad[5];
	char bytes[4096];

	(void)state;
	for (size_t i = 0; i < 5; i++)
		bad[i] = good();
	bad[0].version++;
	bad[1].max_endpoints = 1;
	bad[2].n_endpoints = UINT32_MAX;
	bad[3].certificate_length = UINT32_MAX;
	bad[4].certificate_length--;
	for (size_t i = 0; i < 5; i++) {
		int source = write_config(good());
		int fd = memfd_create("test", 0);
		ssize_t n = pread(source, bytes, sizeof bytes, 0);

		memcpy(bytes, &bad[i], sizeof bad[i]);
		assert_int_equal(write(fd, bytes, (size_t)n), n);
		assert_int_equal(gate_config_read(fd, &settings), -EPROTO);
		assert_null(settings.endpoints);
		close(source);
		close(fd);
	}
}

static void a_truncated_configuration_is_refused(void **state)
{
	struct gate_settings settings;
	char bytes[4096];
	int source = write_config(good());
	ssize_t n = pread(source, bytes, sizeof bytes, 0);

	(void)state;
	for (ssize_t length = 0; length < n; length++) {
		int fd = memfd_create("test", 0);

		assert_int_equal(write(fd, bytes, (size_t)length), length);
		assert_int_equal(gate_config_read(fd, &settings), -EPROTO);
		close(fd);
	}
	close(source);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_gate_reads_what_the_broker_wrote),
		cmocka_unit_test(nobody_can_change_the_configuration_once_it_is_written),
		cmocka_unit_test(lengths_that_do_not_add_up_are_refused),
		cmocka_unit_test(a_truncated_configuration_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
