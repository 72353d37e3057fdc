#include "test.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "server/claims.h"
#include "server/store_link.h"

/* In place of the broker's end of the store: what is ordered is noted. */

enum { LATE_MS = 3000, TELLING_MS = 35000 };

static const struct ipv4 address = {0xcb007107}, other = {0xcb007108};

static struct fixture {
	struct clock clock;
	struct claims *claims;
	uint64_t now_ms;
	int refuses; /* what is asked fails with it */
	char orders[32]; /* c: claim, r: the rest, l: if it is left, h: hold, f: release */
	struct ipv4 last;
} f;

static int note(char order, struct ipv4 bind)
{
	const size_t n = strlen(f.orders);

	assert_true(n + 1 < sizeof f.orders);
	f.orders[n] = order;
	f.last = bind;
	return f.refuses;
}

int store_link_claim(struct store_link *link, struct ipv4 bind)
{
	(void)link;
	return note('c', bind);
}

int store_link_claim_rest(struct store_link *link, struct ipv4 bind)
{
	(void)link;
	return note('r', bind);
}

int store_link_claim_if_left(struct store_link *link, struct ipv4 bind)
{
	(void)link;
	return note('l', bind);
}

void store_link_hold(struct store_link *link, struct ipv4 bind)
{
	(void)link;
	note('h', bind);
}

void store_link_release(struct store_link *link, struct ipv4 bind)
{
	(void)link;
	note('f', bind);
}

static uint64_t now_ms(const struct clock *clock)
{
	return ((const struct fixture *)clock)->now_ms;
}

static int set_up(void **state)
{
	(void)state;
	f = (struct fixture){.clock = {now_ms}, .now_ms = 1000};
	return claims_new(NULL, &f.clock, &f.claims);
}

static int tear_down(void **state)
{
	(void)state;
	claims_free(f.claims);
	return 0;
}

/* One that this host holds, and nothing was asked about since. */
static void hold(struct ipv4 bind)
{
	claims_ask(f.claims, bind, false);
	assert_true(claims_answered(f.claims, bind));
	memset(f.orders, 0, sizeof f.orders);
}

static void an_address_is_asked_for_once_and_served_when_it_is_answered(void **state)
{
	(void)state;
	assert_false(claims_has(f.claims, address));
	assert_int_equal(claims_ask(f.claims, address, false), -EINPROGRESS);
	assert_int_equal(claims_ask(f.claims, address, false), -EINPROGRESS);
	assert_string_equal(f.orders, "c");
	assert_true(claims_has(f.claims, address));
	assert_true(claims_answered(f.claims, address));
	assert_string_equal(f.orders, "ch");
	assert_int_equal(claims_ask(f.claims, address, false), 0);
	assert_string_equal(f.orders, "ch");
}

static void of_one_that_is_ready_only_the_rest_is_asked_for(void **state)
{
	(void)state;
	assert_int_equal(claims_ask(f.claims, address, true), -EINPROGRESS);
	assert_string_equal(f.orders, "r");
}

static void without_a_store_having_the_address_is_enough(void **state)
{
	(void)state;
	f.refuses = -ENOTCONN;
	assert_int_equal(claims_ask(f.claims, address, false), 0);
	assert_int_equal(claims_ask(f.claims, address, false), 0);
	assert_string_equal(f.orders, "c");
}

static void a_store_that_does_not_answer_keeps_an_address_waiting_for_so_long_and_no_longer(
	void **state)
{
	(void)state;
	claims_ask(f.claims, address, false);
	f.now_ms += LATE_MS - 1;
	assert_int_equal(claims_ask(f.claims, address, false), -EINPROGRESS);
	f.now_ms++;
	assert_int_equal(claims_ask(f.claims, address, false), 0);
}

static void a_store_that_has_begun_to_tell_has_more_time(void **state)
{
	(void)state;
	claims_ask(f.claims, address, false);
	assert_true(claims_heard(f.claims, address));
	f.now_ms += LATE_MS;
	assert_int_equal(claims_ask(f.claims, address, false), -EINPROGRESS);
	f.now_ms += TELLING_MS - LATE_MS;
	assert_int_equal(claims_ask(f.claims, address, false), 0);
}

static void what_was_not_asked_for_makes_nothing_forgotten(void **state)
{
	(void)state;
	assert_false(claims_heard(f.claims, address));
	hold(address);
	assert_false(claims_heard(f.claims, address));
	assert_false(claims_heard(f.claims, other));
}

static void an_answer_that_comes_late_is_still_wanted(void **state)
{
	(void)state;
	claims_ask(f.claims, address, false);
	f.now_ms += LATE_MS;
	assert_int_equal(claims_ask(f.claims, address, false), 0);
	assert_true(claims_heard(f.claims, address));
	assert_true(claims_answered(f.claims, address));
}

static void one_that_is_claimed_at_the_start_is_not_asked_for(void **state)
{
	(void)state;
	assert_int_equal(claims_add(f.claims, address), 0);
	assert_int_equal(claims_add(f.claims, address), 0);
	assert_int_equal(claims_ask(f.claims, address, false), 0);
	assert_string_equal(f.orders, "");
}

static void a_store_that_is_started_again_is_asked_for_what_it_has_not_answered(void **state)
{
	(void)state;
	hold(other);
	claims_ask(f.claims, address, true);
	claims_lost(f.claims);
	assert_string_equal(f.orders, "rr");
	assert_int_equal(f.last.value, address.value);
}

static void an_address_that_another_host_has_claimed_is_served_no_more_and_asked_about(void **state)
{
	(void)state;
	hold(address);
	assert_true(claims_superseded(f.claims, address));
	assert_int_equal(claims_ask(f.claims, address, false), -EBUSY);
	/* One question at a time. */
	assert_int_equal(claims_ask(f.claims, address, false), -EBUSY);
	assert_string_equal(f.orders, "l");
	/* It is that host's still: the next question. */
	assert_false(claims_superseded(f.claims, address));
	assert_int_equal(claims_ask(f.claims, address, false), -EBUSY);
	assert_string_equal(f.orders, "ll");
	assert_true(claims_answered(f.claims, address));
	assert_int_equal(claims_ask(f.claims, address, false), 0);
}

static void a_question_about_anothers_that_is_lost_is_asked_again_when_its_turn_comes(void **state)
{
	(void)state;
	hold(address);
	claims_superseded(f.claims, address);
	claims_ask(f.claims, address, false);
	claims_lost(f.claims);
	assert_string_equal(f.orders, "l");
	claims_ask(f.claims, address, false);
	assert_string_equal(f.orders, "ll");
}

static void what_is_said_of_the_time_before_a_claim_takes_nothing_away(void **state)
{
	(void)state;
	claims_ask(f.claims, address, false);
	assert_false(claims_superseded(f.claims, address));
	assert_int_equal(claims_ask(f.claims, address, false), -EINPROGRESS);
	assert_false(claims_superseded(f.claims, other));
}

static void one_that_is_released_is_asked_for_anew_when_it_comes_again(void **state)
{
	(void)state;
	claims_release(f.claims, other);
	assert_string_equal(f.orders, "");
	hold(address);
	claims_release(f.claims, address);
	assert_string_equal(f.orders, "f");
	assert_false(claims_has(f.claims, address));
	/* The answer to what was asked before. */
	assert_false(claims_answered(f.claims, address));
	assert_int_equal(claims_ask(f.claims, address, false), -EINPROGRESS);
	assert_string_equal(f.orders, "fc");
}

static void many_addresses_are_kept_apart(void **state)
{
	(void)state;
	for (uint32_t i = 1; i <= 100; i++)
		assert_int_equal(claims_add(f.claims, (struct ipv4){i}), 0);
	claims_release(f.claims, (struct ipv4){50});
	assert_true(claims_superseded(f.claims, (struct ipv4){100}));
	for (uint32_t i = 1; i <= 100; i++)
		assert_int_equal(claims_has(f.claims, (struct ipv4){i}), i != 50);
	assert_int_equal(claims_ask(f.claims, (struct ipv4){99}, false), 0);
	assert_int_equal(claims_ask(f.claims, (struct ipv4){100}, false), -EBUSY);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RULE(an_address_is_asked_for_once_and_served_when_it_is_answered),
		RULE(of_one_that_is_ready_only_the_rest_is_asked_for),
		RULE(without_a_store_having_the_address_is_enough),
		RULE(a_store_that_does_not_answer_keeps_an_address_waiting_for_so_long_and_no_longer),
		RULE(a_store_that_has_begun_to_tell_has_more_time),
		RULE(what_was_not_asked_for_makes_nothing_forgotten),
		RULE(an_answer_that_comes_late_is_still_wanted),
		RULE(one_that_is_claimed_at_the_start_is_not_asked_for),
		RULE(a_store_that_is_started_again_is_asked_for_what_it_has_not_answered),
		RULE(an_address_that_another_host_has_claimed_is_served_no_more_and_asked_about),
		RULE(a_question_about_anothers_that_is_lost_is_asked_again_when_its_turn_comes),
		RULE(what_is_said_of_the_time_before_a_claim_takes_nothing_away),
		RULE(one_that_is_released_is_asked_for_anew_when_it_comes_again),
		RULE(many_addresses_are_kept_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
