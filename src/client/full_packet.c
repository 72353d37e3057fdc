/* Searches the largest packet that passes, by echoes. Runs in `vprox check`, and waits for each. */
#include "client/full_packet.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/echo.h"
#include "client/mark.h"

enum {
	TRIES = 2, /* of each size: any packet may be lost */
	ANSWER_MS = 1000,
};

struct size_search {
	int fd;
	struct echo echo;
};

/* The answer has to be of the same size: nobody on the way may have cut it. */
static bool await_answer(const struct size_search *search, size_t size)
{
	uint64_t deadline = clock_now_ms(&boot_clock) + ANSWER_MS;
	struct pollfd readable = {.fd = search->fd, .events = POLLIN};

	for (;;) {
		uint64_t now = clock_now_ms(&boot_clock);
		size_t length;

		if (now >= deadline || poll(&readable, 1, (int)(deadline - now)) <= 0)
			return false;
		if (echo_receive(search->fd, &search->echo, &length) == 1 && length == size)
			return true;
	}
}

static bool passes(struct size_search *search, uint32_t size)
{
	for (int i = 0; i < TRIES; i++) {
		echo_renew(&search->echo);
		search->echo.sequence++;
		echo_send(search->fd, &search->echo, size);
		if (await_answer(search, size))
			return true;
	}
	return false;
}

/* good passes, bad does not. */
static uint32_t narrow(struct size_search *search, uint32_t good, uint32_t bad)
{
	while (bad - good > 1) {
		uint32_t middle = good + (bad - good) / 2;

		if (passes(search, middle))
			good = middle;
		else
			bad = middle;
	}
	return good;
}

static uint32_t find_largest(struct size_search *search, uint32_t mtu)
{
	if (passes(search, mtu))
		return mtu;
	return passes(search, ECHO_LEAST) ? narrow(search, ECHO_LEAST, mtu) : 0;
}

int full_packet_find(const char *interface, struct ipv4 gateway, uint32_t mtu, uint32_t *largest)
{
	static const int discover = IP_PMTUDISC_PROBE;
	struct size_search search = {
		.fd = echo_open(-1, interface, CLIENT_FWMARK), .echo.gateway = gateway};
	int error = 0;

	if (search.fd < 0)
		return search.fd;
	if (setsockopt(search.fd, IPPROTO_IP, IP_MTU_DISCOVER, &discover, sizeof discover) < 0)
		error = -errno;
	else
		*largest = find_largest(&search, mtu);
	close(search.fd);
	return error;
}
