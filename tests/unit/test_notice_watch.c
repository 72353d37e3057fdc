/* When somebody is told that the kernel has changed. Netlink, in a network namespace of the test's
 * own where it may have one. */
#include "test.h"

#include <sched.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <event2/event.h>

#include "base/clock.h"
#include "client/notice_watch.h"
#include "netlink/link.h"
#include "netlink/socket.h"

enum {
	SOON_MS = 5000, /* on a busy machine */
	LATE_MS = 600 * 1000,
};

struct told {
	struct event_base *base;
	unsigned int n;
};

static void tell(void *context)
{
	struct told *told = context;

	told->n++;
	event_base_loopbreak(told->base);
}

/* Until it is told once more, or not at all. */
static void wait_for_it(struct told *told)
{
	const struct timeval soon = timeval_from_ms(SOON_MS);

	event_base_loopexit(told->base, &soon);
	event_base_dispatch(told->base);
}

static int set_up(void **state)
{
	static struct told told;

	*state = &told;
	told = (struct told){.base = event_base_new()};
	return told.base ? 0 : -1;
}

static int tear_down(void **state)
{
	const struct told *told = *state;

	event_base_free(told->base);
	return 0;
}

static struct notice_watch *open_watch(struct told *told)
{
	struct notice_watch *watch = NULL;

	assert_int_equal(
		notice_watch_open(told->base, NETLINK_ROUTE, RTMGRP_LINK, tell, told, &watch), 0);
	return watch;
}

static void what_was_changed_just_before_the_watch_is_told(void **state)
{
	struct told *told = *state;
	struct notice_watch *watch = open_watch(told);

	wait_for_it(told);
	assert_int_equal(told->n, 1);
	notice_watch_close(watch);
}

static void who_asks_for_it_is_called_without_a_notice(void **state)
{
	struct told *told = *state;
	struct notice_watch *watch = open_watch(told);

	wait_for_it(told);
	notice_watch_call_in(watch, 1);
	wait_for_it(told);
	assert_int_equal(told->n, 2);
	notice_watch_close(watch);
}

static void a_notice_does_not_wait_for_a_later_call(void **state)
{
	const struct link_change up = {.up = true};
	struct told *told = *state;
	struct notice_watch *watch;
	struct netlink *netlink;

	if (unshare(CLONE_NEWNET) < 0)
		skip();
	watch = open_watch(told);
	wait_for_it(told);
	notice_watch_call_in(watch, LATE_MS);
	assert_int_equal(netlink_open(NETLINK_ROUTE, &netlink), 0);
	assert_int_equal(link_set(netlink, 1, &up), 0);
	wait_for_it(told);
	assert_int_equal(told->n, 2);
	netlink_close(netlink);
	notice_watch_close(watch);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_changed_just_before_the_watch_is_told),
		TEST(who_asks_for_it_is_called_without_a_notice),
		TEST(a_notice_does_not_wait_for_a_later_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
