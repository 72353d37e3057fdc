/*
 * Whether the host has been suspended. While it is, CLOCK_BOOTTIME goes on and CLOCK_MONOTONIC
 * stands still (clock_gettime(2)), and with that everything that waits. The control thread's.
 */
#pragma once

#include <stdint.h>

struct sleep_watch {
	int timer; /* readable when the host has woken, or its wall clock was set */
	uint64_t slept_ms; /* since the boot, as far as it has been told */
};

/* Before the sandbox. Returns 0 or -errno. */
int sleep_watch_open(struct sleep_watch *watch);
void sleep_watch_close(struct sleep_watch *watch);

/* For how many ms the host has slept since this was last asked. */
uint64_t sleep_watch_read(struct sleep_watch *watch);
