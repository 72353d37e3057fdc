/*
 * Preloaded into a device by the tests: a clock that stands still but for what the test moves it,
 * so that hours pass at once and a busy machine changes nothing. The test writes into a file that
 * is mapped here before the device gives up its rights; no system call is made that the device
 * would not make. Runs in all threads of the device.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)
enum {
	NS_PER_MS = 1000000,
	SLICE_MS = 10, /* of real time, until a sleeper looks again what time it is */
};

/* As tests/device/clock.py writes it. ns. */
struct moved {
	_Atomic int64_t time; /* since the start */
	_Atomic int64_t work; /* what each look at a thread's processor time costs it */
	_Atomic int64_t slept; /* for how long the host was suspended, beside `time` */
};

static struct moved *moved;
static int64_t start;
static _Thread_local int64_t worked;
static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_epoll_wait)(int, struct epoll_event *, int, int);

static int64_t to_ns(const struct timespec *time)
{
	return time->tv_sec * NS_PER_S + time->tv_nsec;
}

static struct timespec from_ns(int64_t ns)
{
	return (struct timespec){.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("MOVED_CLOCK");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	struct timespec now;
	void *map;

	*(void **)&real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
	*(void **)&real_epoll_wait = dlsym(RTLD_NEXT, "epoll_wait");
	if (fd < 0 || !real_clock_gettime || !real_epoll_wait)
		abort();
	map = mmap(NULL, sizeof *moved, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED || real_clock_gettime(CLOCK_MONOTONIC, &now) < 0)
		abort();
	moved = map;
	start = to_ns(&now);
}

int clock_gettime(clockid_t id, struct timespec *time)
{
	int error = real_clock_gettime(id, time);

	if (error != 0 || !moved)
		return error;
	switch (id) {
	case CLOCK_MONOTONIC:
		*time = from_ns(start + moved->time);
		break;
	case CLOCK_BOOTTIME:
		*time = from_ns(start + moved->time + moved->slept);
		break;
	case CLOCK_REALTIME:
		*time = from_ns(to_ns(time) + moved->time + moved->slept);
		break;
	case CLOCK_THREAD_CPUTIME_ID:
		worked += moved->work;
		*time = from_ns(to_ns(time) + worked);
		break;
	}
	return 0;
}

int epoll_wait(int fd, struct epoll_event *events, int n, int timeout_ms)
{
	int64_t end = moved->time + (int64_t)timeout_ms * NS_PER_MS;
	int found;

	if (timeout_ms <= 0)
		return real_epoll_wait(fd, events, n, timeout_ms);
	do
		found = real_epoll_wait(fd, events, n, SLICE_MS);
	while (found == 0 && moved->time < end);
	return found;
}
