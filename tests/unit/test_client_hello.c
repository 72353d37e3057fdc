#include "test.h"

#include <errno.h>
#include <string.h>

#include "gate/client_hello.h"

enum {
	HEADER = 5, /* of a record */
};

struct flight {
	unsigned char bytes[4 * CLIENT_HELLO_MAX];
	size_t length;
};

static void add_record(struct flight *flight, const unsigned char *data, size_t length)
{
	const unsigned char header[HEADER] = {
		22, 3, 1, (unsigned char)(length >> 8), (unsigned char)length};

	memcpy(flight->bytes + flight->length, header, HEADER);
	memcpy(flight->bytes + flight->length + HEADER, data, length);
	flight->length += HEADER + length;
}

/* A ClientHello of a length, header included, in records of a size. */
static struct flight make_hello(size_t length, size_t record)
{
	unsigned char message[2 * CLIENT_HELLO_MAX] = {
		1, 0, (unsigned char)((length - 4) >> 8), (unsigned char)(length - 4)};
	struct flight flight = {.length = 0};

	for (size_t i = 0; i < length; i += record)
		add_record(&flight, message + i, length - i < record ? length - i : record);
	return flight;
}

static int check(const struct flight *flight, size_t length)
{
	size_t needed = 0;
	int error = client_hello_check(flight->bytes, length, &needed);

	if (error == -EAGAIN)
		assert_in_range(needed, length + 1, CLIENT_HELLO_MAX);
	return error;
}

static void it_is_there_with_its_last_byte_however_it_is_cut(void **state)
{
	static const size_t records[] = {1, 2, 3, 4, 5, 100, 299, 300, 1000};

	(void)state;
	for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
		struct flight flight = make_hello(300, records[i]);

		for (size_t n = 0; n < flight.length; n++)
			assert_int_equal(check(&flight, n), -EAGAIN);
		assert_int_equal(check(&flight, flight.length), 0);
		assert_int_equal(check(&flight, flight.length + 1), 0);
	}
}

/* Whoever waits for what is told to be needed looks no more than twice for each record. */
static void what_is_needed_is_told_as_far_as_it_is_known(void **state)
{
	struct flight flight = make_hello(300, 200);
	size_t needed = 0;

	(void)state;
	assert_int_equal(client_hello_check(flight.bytes, 0, &needed), -EAGAIN);
	assert_int_equal(needed, HEADER);
	assert_int_equal(client_hello_check(flight.bytes, HEADER, &needed), -EAGAIN);
	assert_int_equal(needed, HEADER + 200);
	assert_int_equal(client_hello_check(flight.bytes, HEADER + 200, &needed), -EAGAIN);
	assert_int_equal(needed, 2 * HEADER + 200);
	assert_int_equal(client_hello_check(flight.bytes, 2 * HEADER + 200, &needed), -EAGAIN);
	assert_int_equal(needed, 2 * HEADER + 300);
}

static void one_that_is_too_large_is_refused_as_soon_as_that_is_known(void **state)
{
	struct flight fits = make_hello(CLIENT_HELLO_MAX - HEADER, CLIENT_HELLO_MAX);
	struct flight large = make_hello(CLIENT_HELLO_MAX - HEADER + 1, CLIENT_HELLO_MAX);
	struct flight cut = make_hello(CLIENT_HELLO_MAX + 1, 100);
	struct flight small_records = make_hello(CLIENT_HELLO_MAX / 2, 1);

	(void)state;
	assert_int_equal(check(&fits, fits.length), 0);
	assert_int_equal(check(&large, HEADER), -EMSGSIZE);
	assert_int_equal(check(&cut, HEADER + 4), -EMSGSIZE);
	assert_int_equal(check(&small_records, CLIENT_HELLO_MAX), -EMSGSIZE);
}

static void what_is_none_is_refused_with_its_first_wrong_byte(void **state)
{
	static const struct {
		size_t at, length;
		unsigned char byte;
	} wrong[] = {
		{0, 1, 'G'},
		{0, 1, 23},
		{1, 2, 2},
		{5, 6, 2},
	};
	struct flight empty = {{22, 3, 1, 0, 0}, HEADER};

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct flight flight = make_hello(300, 300);

		flight.bytes[wrong[i].at] = wrong[i].byte;
		assert_int_equal(check(&flight, wrong[i].length), -EPROTO);
	}
	assert_int_equal(check(&empty, HEADER), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_there_with_its_last_byte_however_it_is_cut),
		cmocka_unit_test(what_is_needed_is_told_as_far_as_it_is_known),
		cmocka_unit_test(one_that_is_too_large_is_refused_as_soon_as_that_is_known),
		cmocka_unit_test(what_is_none_is_refused_with_its_first_wrong_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
