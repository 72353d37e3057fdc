/* The size of the kernel's table of connections, and when it counts as full. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sysctl.h"
#include "host/tracking.h"

#define GIBIBYTE (UINT64_C(1) << 30)

struct fixture {
	char folder[sizeof "/tmp/vprox-tracking-XXXXXX"];
};

static void write_file(const struct fixture *f, const char *name, int value, mode_t mode)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof path, "%s/%s", f->folder, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fprintf(file, "%d\n", value);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void assert_value(const struct fixture *f, const char *name, int expected)
{
	char path[128];
	int value;

	snprintf(path, sizeof path, "%s/%s", f->folder, name);
	assert_int_equal(sysctl_read(path, &value), 0);
	assert_int_equal(value, expected);
}

static void has(const struct fixture *f, int max, int buckets, mode_t mode)
{
	write_file(f, "nf_conntrack_max", max, mode);
	write_file(f, "nf_conntrack_buckets", buckets, mode);
}

static int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){"/tmp/vprox-tracking-XXXXXX"};
	*state = &f;
	return mkdtemp(f.folder) ? 0 : -1;
}

static int teardown(void **state)
{
	static const char *const names[] = {"nf_conntrack_max", "nf_conntrack_buckets"};
	const struct fixture *f = *state;
	char path[128];

	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "%s/%s", f->folder, names[i]);
		unlink(path);
	}
	return rmdir(f->folder);
}

static void a_default_size_is_raised_to_what_the_addresses_need(void **state)
{
	const struct fixture *f = *state;

	has(f, 65536, 65536, 0644);
	tracking_make_room(f->folder, 1 << 14, 64 * GIBIBYTE);
	assert_value(f, "nf_conntrack_max", 1 << 19);
	assert_value(f, "nf_conntrack_buckets", 1 << 19);
}

static void but_only_to_what_the_memory_allows(void **state)
{
	const struct fixture *f = *state;

	has(f, 65536, 65536, 0644);
	tracking_make_room(f->folder, 1 << 20, 2 * GIBIBYTE);
	assert_value(f, "nf_conntrack_max", 1 << 18);
}

static void it_is_never_lowered(void **state)
{
	const struct fixture *f = *state;

	has(f, 262144, 262144, 0644);
	tracking_make_room(f->folder, 4, 64 * GIBIBYTE);
	assert_value(f, "nf_conntrack_max", 262144);
	assert_value(f, "nf_conntrack_buckets", 262144);
}

static void what_somebody_has_chosen_stays(void **state)
{
	const struct fixture *f = *state;

	has(f, 100000, 65536, 0644);
	tracking_make_room(f->folder, 1 << 16, 64 * GIBIBYTE);
	assert_value(f, "nf_conntrack_max", 100000);
	assert_value(f, "nf_conntrack_buckets", 65536);
}

static void in_a_network_namespace_that_may_not_change_it_nothing_is_tried(void **state)
{
	const struct fixture *f = *state;

	has(f, 65536, 65536, 0444);
	tracking_make_room(f->folder, 1 << 16, 64 * GIBIBYTE);
	assert_value(f, "nf_conntrack_max", 65536);
}

static void without_connection_tracking_nothing_happens(void **state)
{
	(void)state;
	tracking_make_room("/nowhere", 1 << 16, 64 * GIBIBYTE);
}

static void it_is_full_from_three_quarters_on_and_until_five_eighths(void **state)
{
	struct tracking_load load = {.max = 1000};

	(void)state;
	load.n = 750;
	assert_false(tracking_is_full(&load, false));
	load.n = 751;
	assert_true(tracking_is_full(&load, false));
	load.n = 626;
	assert_true(tracking_is_full(&load, true));
	load.n = 625;
	assert_false(tracking_is_full(&load, true));
	load = (struct tracking_load){.n = UINT32_MAX, .max = UINT32_MAX};
	assert_true(tracking_is_full(&load, false));
	load = (struct tracking_load){.n = 1, .max = 0};
	assert_false(tracking_is_full(&load, false));
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FOLDER(a_default_size_is_raised_to_what_the_addresses_need),
		WITH_FOLDER(but_only_to_what_the_memory_allows),
		WITH_FOLDER(it_is_never_lowered),
		WITH_FOLDER(what_somebody_has_chosen_stays),
		WITH_FOLDER(in_a_network_namespace_that_may_not_change_it_nothing_is_tried),
		cmocka_unit_test(without_connection_tracking_nothing_happens),
		cmocka_unit_test(it_is_full_from_three_quarters_on_and_until_five_eighths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
