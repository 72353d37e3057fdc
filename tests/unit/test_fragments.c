/* How much memory the kernel has for fragments that wait for the others. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sysctl.h"
#include "host/fragments.h"

#define GIBIBYTE (UINT64_C(1) << 30)

struct fixture {
	char folder[sizeof "/tmp/vprox-fragments-XXXXXX"];
};

static const char *path_of(const struct fixture *f, const char *name)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/%s", f->folder, name);
	return path;
}

static void write_file(const struct fixture *f, const char *name, int value)
{
	FILE *file = fopen(path_of(f, name), "w");

	assert_non_null(file);
	fprintf(file, "%d\n", value);
	assert_int_equal(fclose(file), 0);
}

static void has(const struct fixture *f, int memory, int seconds)
{
	write_file(f, "ipfrag_high_thresh", memory);
	write_file(f, "ipfrag_time", seconds);
}

static void assert_values(const struct fixture *f, int memory, int seconds)
{
	int value;

	assert_int_equal(sysctl_read(path_of(f, "ipfrag_high_thresh"), &value), 0);
	assert_int_equal(value, memory);
	assert_int_equal(sysctl_read(path_of(f, "ipfrag_time"), &value), 0);
	assert_int_equal(value, seconds);
}

static int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){"/tmp/vprox-fragments-XXXXXX"};
	*state = &f;
	return mkdtemp(f.folder) ? 0 : -1;
}

static int teardown(void **state)
{
	const struct fixture *f = *state;

	unlink(path_of(f, "ipfrag_high_thresh"));
	unlink(path_of(f, "ipfrag_time"));
	return rmdir(f->folder);
}

/* Of the kernel's defaults, on a machine with so much memory. */
static void assert_defaults_become(
	const struct fixture *f, uint64_t machine, int memory, int seconds)
{
	has(f, 4 << 20, 30);
	fragments_make_room(f->folder, machine);
	assert_values(f, memory, seconds);
}

static void the_defaults_become_more_memory_for_less_time(void **state)
{
	assert_defaults_become(*state, 64 * GIBIBYTE, 64 << 20, 2);
}

static void of_a_small_machines_memory_no_more_than_a_32nd_is_taken(void **state)
{
	assert_defaults_become(*state, GIBIBYTE, 32 << 20, 2);
	assert_defaults_become(*state, GIBIBYTE / 16, 4 << 20, 2);
}

static void what_somebody_has_chosen_stays(void **state)
{
	const struct fixture *f = *state;

	has(f, 1 << 20, 60);
	fragments_make_room(f->folder, 64 * GIBIBYTE);
	assert_values(f, 1 << 20, 60);
}

static void where_there_are_no_such_settings_nothing_happens(void **state)
{
	(void)state;
	fragments_make_room("/nowhere", 64 * GIBIBYTE);
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		RULE(the_defaults_become_more_memory_for_less_time),
		RULE(of_a_small_machines_memory_no_more_than_a_32nd_is_taken),
		RULE(what_somebody_has_chosen_stays),
		RULE(where_there_are_no_such_settings_nothing_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
