/* What is blocked of what is routed, and what not. */
#include "addresses.h"

#include <stdio.h>

#include "base/cleanup.h"
#include "client/blocked_ranges.h"

enum { MOST = 4 };

/* NULL ends both lists. */
static void expect(const char *const *routes, const char *const *kept, const char *expected)
{
	struct client_config config = {0};
	struct prefix list[MOST];
	struct kept_routes keeping = {.kept = list};
	auto_free struct address_range *ranges = NULL;
	char text[256] = "";
	size_t n, length = 0;

	for (; *routes; routes++)
		config.routes[config.n_routes++] = prefix(*routes);
	for (; *kept; kept++)
		list[keeping.n_kept++] = prefix(*kept);
	assert_int_equal(blocked_ranges(&config, &keeping, &ranges, &n), 0);
	for (size_t i = 0; i < n; i++)
		length += (size_t)snprintf(text + length, sizeof text - length, "%s-%s ",
			ipv4_text(ranges[i].first).s, ipv4_text(ranges[i].last).s);
	assert_string_equal(text, expected);
}

#define EXPECT(routes, kept, expected)                                                             \
	expect((const char *const[]){routes, NULL}, (const char *const[]){kept, NULL}, expected)
#define LIST(...) __VA_ARGS__

static void without_exceptions_it_is_what_is_routed(void **state)
{
	(void)state;
	EXPECT("0.0.0.0/0", NULL, "0.0.0.0-255.255.255.255 ");
	EXPECT("192.0.2.1/32", NULL, "192.0.2.1-192.0.2.1 ");
	EXPECT(LIST("10.0.0.0/9", "10.128.0.0/9"), NULL, "10.0.0.0-10.255.255.255 ");
	EXPECT(LIST("10.0.0.0/8", "10.1.0.0/16"), NULL, "10.0.0.0-10.255.255.255 ");
	EXPECT(LIST("198.51.100.0/24", "10.0.0.0/8"), NULL,
		"10.0.0.0-10.255.255.255 198.51.100.0-198.51.100.255 ");
}

static void the_longest_prefix_decides(void **state)
{
	(void)state;
	EXPECT("0.0.0.0/0", LIST("0.0.0.0/8", "255.0.0.0/8"), "1.0.0.0-254.255.255.255 ");
	EXPECT(LIST("0.0.0.0/0", "10.9.8.0/24"), "10.0.0.0/8",
		"0.0.0.0-9.255.255.255 10.9.8.0-10.9.8.255 11.0.0.0-255.255.255.255 ");
	EXPECT(LIST("0.0.0.0/0", "10.9.8.0/24"), LIST("10.0.0.0/8", "10.9.8.4/30"),
		"0.0.0.0-9.255.255.255 10.9.8.0-10.9.8.3 10.9.8.8-10.9.8.255 "
		"11.0.0.0-255.255.255.255 ");
}

static void of_the_same_prefix_what_is_kept_decides(void **state)
{
	(void)state;
	EXPECT("198.51.100.0/24", "198.51.100.0/24", "");
	EXPECT("0.0.0.0/0", "0.0.0.0/0", "");
}

static void what_is_kept_elsewhere_changes_nothing(void **state)
{
	(void)state;
	EXPECT("198.51.100.0/24", "10.0.0.0/8", "198.51.100.0-198.51.100.255 ");
	EXPECT("198.51.100.0/24", "198.0.0.0/8", "198.51.100.0-198.51.100.255 ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_exceptions_it_is_what_is_routed),
		cmocka_unit_test(the_longest_prefix_decides),
		cmocka_unit_test(of_the_same_prefix_what_is_kept_decides),
		cmocka_unit_test(what_is_kept_elsewhere_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
