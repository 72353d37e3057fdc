#include "test.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "base/checksum.h"
#include "flows.h"

static void a_sum_is_that_of_rfc_1071_at_any_length_and_address(void **state)
{
	uint8_t data[3000 + 64];

	(void)state;
	srandom(1);
	for (int i = 0; i < 5000; i++) {
		size_t offset = (size_t)random() % 64, length = (size_t)random() % 3000;

		for (size_t k = 0; k < sizeof data; k++)
			data[k] = i % 3 == 0 ? 0xff : (uint8_t)random();
		assert_int_equal(ntohs(checksum_fold(checksum_add(0, data + offset, length))),
			naive_sum(0, data + offset, length));
	}
}

static void sums_of_even_parts_add_up(void **state)
{
	uint8_t data[1000];
	uint64_t sum = 0;

	(void)state;
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)random();
	sum = checksum_add(sum, data, 10);
	sum = checksum_add(sum, data + 10, 502);
	sum = checksum_add(sum, data + 512, sizeof data - 512);
	assert_int_equal(checksum_fold(sum), checksum_fold(checksum_add(0, data, sizeof data)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sum_is_that_of_rfc_1071_at_any_length_and_address),
		cmocka_unit_test(sums_of_even_parts_add_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
