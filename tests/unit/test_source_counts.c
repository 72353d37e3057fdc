#include "test.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/source_counts.h"

enum {
	N = 3, /* gates */
};

struct fixture {
	int sheets[N];
	struct source_counts counts[N];
};

static struct in6_addr address(uint32_t n)
{
	struct in6_addr address = {.s6_addr = {[10] = 0xff, [11] = 0xff}};

	memcpy(address.s6_addr + 12, &n, sizeof n);
	return address;
}

/* Descriptors in the order that a gate finds them in: numbers that follow each other. */
static int map(struct fixture *f, int gate)
{
	static const struct source_counts_seed seed = {{1, 2}};
	const int first = 100;
	int n = 0, error;

	for (int i = 0; i < N; i++) {
		int fd = source_sheet_open_for_reading(f->sheets[i]);

		assert_true(fd >= 0);
		if (i != gate)
			assert_true(dup2(fd, first + n++) >= 0);
		close(fd);
	}
	error = source_counts_map(&f->counts[gate], &seed, f->sheets[gate], first, N - 1);
	for (int i = 0; i < n; i++)
		close(first + i);
	return error;
}

static int setup(void **state)
{
	static struct fixture f;

	for (int i = 0; i < N; i++)
		f.sheets[i] = source_sheet_new();
	for (int i = 0; i < N; i++)
		if (map(&f, i) < 0)
			return -1;
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < N; i++) {
		source_counts_free(&f->counts[i]);
		close(f->sheets[i]);
	}
	return 0;
}

static void add(struct fixture *f, int gate, uint32_t source, int n)
{
	struct in6_addr a = address(source);

	for (; n > 0; n--)
		source_counts_add(&f->counts[gate], &a);
	for (; n < 0; n++)
		source_counts_remove(&f->counts[gate], &a);
}

static uint32_t elsewhere(struct fixture *f, int gate, uint32_t source)
{
	struct in6_addr a = address(source);

	return source_counts_elsewhere(&f->counts[gate], &a, UINT32_MAX);
}

static void a_gate_sees_at_once_what_the_others_count_and_not_its_own(void **state)
{
	struct fixture *f = *state;

	add(f, 0, 7, 10);
	add(f, 1, 7, 5);
	add(f, 2, 8, 3);
	assert_int_equal(elsewhere(f, 0, 7), 5);
	assert_int_equal(elsewhere(f, 1, 7), 10);
	assert_int_equal(elsewhere(f, 2, 7), 15);
	assert_int_equal(elsewhere(f, 0, 8), 3);
	add(f, 0, 7, -10);
	assert_int_equal(elsewhere(f, 2, 7), 5);
}

static void what_a_gate_has_counted_can_be_added_up_and_voided(void **state)
{
	struct fixture *f = *state;

	for (uint32_t i = 0; i < 100; i++)
		add(f, 1, i, 2);
	assert_int_equal(source_sheet_total(f->sheets[1]), 200);
	assert_int_equal(source_sheet_clear(f->sheets[1]), 0);
	assert_int_equal(source_sheet_total(f->sheets[1]), 0);
	assert_int_equal(elsewhere(f, 0, 50), 0);
}

/* 32 sources at the limit, as many as there can be at once, and who shares their counters. */
static void hardly_anybody_is_taken_for_somebody_else(void **state)
{
	struct fixture *f = *state;
	int n_wrong = 0;

	for (uint32_t i = 0; i < 32; i++)
		add(f, 0, i, 256);
	for (uint32_t i = 1000; i < 101000; i++)
		n_wrong += elsewhere(f, 1, i) >= 256;
	assert_in_range(n_wrong, 0, 10);
}

static void counts_that_cannot_be_do_not_wrap_around(void **state)
{
	struct fixture *f = *state;

	add(f, 0, 7, -1);
	add(f, 1, 7, -1);
	assert_int_equal(elsewhere(f, 2, 7), UINT32_MAX);
}

static void of_each_gate_so_much_is_believed_and_no_more(void **state)
{
	struct fixture *f = *state;
	struct in6_addr a = address(7);

	add(f, 0, 7, 100);
	add(f, 1, 7, 5);
	assert_int_equal(source_counts_elsewhere(&f->counts[2], &a, 28), 28 + 5);
	assert_int_equal(source_counts_elsewhere(&f->counts[1], &a, 28), 28);
}

static void a_gate_can_neither_write_nor_shorten_the_sheets_of_others(void **state)
{
	struct fixture *f = *state;
	const size_t size = sizeof(struct source_sheet);
	int fd = source_sheet_open_for_reading(f->sheets[1]);

	assert_int_equal(
		mprotect((void *)f->counts[0].others[0], size, PROT_READ | PROT_WRITE), -1);
	assert_int_equal(errno, EACCES);
	assert_ptr_equal(mmap(NULL, size, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(ftruncate(f->sheets[1], 0), -1);
	close(fd);
}

static void without_sheets_nothing_is_counted(void **state)
{
	struct source_counts none = {0};
	struct in6_addr a = address(1);

	(void)state;
	source_counts_add(&none, &a);
	assert_int_equal(source_counts_elsewhere(&none, &a, UINT32_MAX), 0);
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		RULE(a_gate_sees_at_once_what_the_others_count_and_not_its_own),
		RULE(what_a_gate_has_counted_can_be_added_up_and_voided),
		RULE(hardly_anybody_is_taken_for_somebody_else),
		RULE(counts_that_cannot_be_do_not_wrap_around),
		RULE(of_each_gate_so_much_is_believed_and_no_more),
		RULE(a_gate_can_neither_write_nor_shorten_the_sheets_of_others),
		RULE(without_sheets_nothing_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
