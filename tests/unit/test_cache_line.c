#include "test.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/cache_line.h"

enum { LARGE = 200000 }; /* which the library maps by itself: never on a line */

static void assert_is_one(const uint8_t *items, size_t size)
{
	assert_non_null(items);
	assert_int_equal((uintptr_t)items % CACHE_LINE, 0);
	for (size_t i = 0; i < size; i++)
		assert_int_equal(items[i], 0);
}

static void items_of_any_size_begin_a_line_and_are_zero(void **state)
{
	static const size_t sizes[] = {1, 8, 24, 64, 100, 4096, LARGE};

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		/* several, as one may come to lie well by chance */
		void *items[4];

		for (size_t k = 0; k < 4; k++) {
			items[k] = cache_line_calloc(3, sizes[i]);
			assert_is_one(items[k], 3 * sizes[i]);
			memset(items[k], 0xff, 3 * sizes[i]);
		}
		for (size_t k = 0; k < 4; k++)
			cache_line_free(items[k]);
	}
	cache_line_free(NULL);
}

static void more_than_there_can_be_is_refused(void **state)
{
	(void)state;
	assert_null(cache_line_calloc(SIZE_MAX / 2, 3));
	assert_null(cache_line_calloc(SIZE_MAX, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_of_any_size_begin_a_line_and_are_zero),
		cmocka_unit_test(more_than_there_can_be_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
