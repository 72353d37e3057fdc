/* Notices that the host has slept, and has the control thread woken for it. Runs in the control
 * thread. */
#include "device/sleep_watch.h"

#include <errno.h>
#include <stddef.h>
#include <time.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"

/* What is read first can only be too little, if this thread is kept waiting in between. */
static uint64_t slept_ms(void)
{
	uint64_t with_sleep = clock_now_ms(&boot_clock), without = clock_now_ms(&system_clock);

	return with_sleep > without ? with_sleep - without : 0;
}

/* It never expires: timerfd_create(2) has it cancelled when the wall clock jumps, which it does at
 * the end of a sleep. */
static int open_timer(void)
{
	static const struct itimerspec never = {.it_value.tv_sec = INT64_MAX};
	int fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK), error;

	if (fd < 0)
		return -errno;
	if (timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

int sleep_watch_open(struct sleep_watch *watch)
{
	int fd = open_timer();

	*watch = (struct sleep_watch){.timer = fd, .slept_ms = slept_ms()};
	return fd < 0 ? fd : 0;
}

void sleep_watch_close(struct sleep_watch *watch)
{
	close(watch->timer);
}

uint64_t sleep_watch_read(struct sleep_watch *watch)
{
	uint64_t slept = slept_ms(), before = watch->slept_ms, expired;

	if (read(watch->timer, &expired, sizeof expired) < 0) {
		/* it has not been cancelled, or has: the clocks tell which */
	}
	if (slept <= before)
		return 0;
	watch->slept_ms = slept;
	return slept - before;
}
