/* Compares a listening socket that somebody else has had with a new one. Runs in the broker, at its
 * start. */
#include "server/listener_check.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

enum {
	OPTION_MAX = 64, /* bytes of an option's value */
};

struct socket_option {
	int level, name;
	const char *text;
	socklen_t size; /* where it must be exact; 0: it need not */
};

/* What connections have of it or what can keep them from it: socket(7), ip(7), tcp(7). */
static const struct socket_option options[] = {
	{SOL_SOCKET, SO_DOMAIN, "SO_DOMAIN"},
	{SOL_SOCKET, SO_TYPE, "SO_TYPE"},
	{SOL_SOCKET, SO_PROTOCOL, "SO_PROTOCOL"},
	{SOL_SOCKET, SO_NETNS_COOKIE, "SO_NETNS_COOKIE", sizeof(uint64_t)},
	{SOL_SOCKET, SO_BINDTOIFINDEX, "SO_BINDTODEVICE"},
	{SOL_SOCKET, SO_LOCK_FILTER, "SO_LOCK_FILTER"},
	{SOL_SOCKET, SO_REUSEADDR, "SO_REUSEADDR"},
	{SOL_SOCKET, SO_REUSEPORT, "SO_REUSEPORT"},
	{SOL_SOCKET, SO_KEEPALIVE, "SO_KEEPALIVE"},
	{SOL_SOCKET, SO_LINGER, "SO_LINGER"},
	{SOL_SOCKET, SO_OOBINLINE, "SO_OOBINLINE"},
	{SOL_SOCKET, SO_DONTROUTE, "SO_DONTROUTE"},
	{SOL_SOCKET, SO_RCVLOWAT, "SO_RCVLOWAT"},
	{SOL_SOCKET, SO_RCVTIMEO, "SO_RCVTIMEO"},
	{SOL_SOCKET, SO_SNDTIMEO, "SO_SNDTIMEO"},
	{SOL_SOCKET, SO_PRIORITY, "SO_PRIORITY"},
	{SOL_SOCKET, SO_MARK, "SO_MARK"},
	{SOL_SOCKET, SO_MAX_PACING_RATE, "SO_MAX_PACING_RATE"},
	{IPPROTO_IP, IP_FREEBIND, "IP_FREEBIND"},
	{IPPROTO_IP, IP_TRANSPARENT, "IP_TRANSPARENT"},
	{IPPROTO_IP, IP_TOS, "IP_TOS"},
	{IPPROTO_IP, IP_TTL, "IP_TTL"},
	{IPPROTO_IP, IP_MINTTL, "IP_MINTTL"},
	{IPPROTO_IP, IP_OPTIONS, "IP_OPTIONS"},
	{IPPROTO_IP, IP_MTU_DISCOVER, "IP_MTU_DISCOVER"},
	{IPPROTO_TCP, TCP_NODELAY, "TCP_NODELAY"},
	{IPPROTO_TCP, TCP_CORK, "TCP_CORK"},
	{IPPROTO_TCP, TCP_QUICKACK, "TCP_QUICKACK"},
	{IPPROTO_TCP, TCP_DEFER_ACCEPT, "TCP_DEFER_ACCEPT"},
	{IPPROTO_TCP, TCP_MAXSEG, "TCP_MAXSEG"},
	{IPPROTO_TCP, TCP_WINDOW_CLAMP, "TCP_WINDOW_CLAMP"},
	{IPPROTO_TCP, TCP_USER_TIMEOUT, "TCP_USER_TIMEOUT"},
	{IPPROTO_TCP, TCP_FASTOPEN, "TCP_FASTOPEN"},
	{IPPROTO_TCP, TCP_SAVE_SYN, "TCP_SAVE_SYN"},
	{IPPROTO_TCP, TCP_ULP, "TCP_ULP"},
};

/* Returns the length of its value; or -errno, which is the same for both where the kernel does not
 * know the option. */
static int read_option(int fd, const struct socket_option *option, unsigned char *value)
{
	socklen_t length = option->size > 0 ? option->size : OPTION_MAX;

	memset(value, 0, OPTION_MAX);
	return getsockopt(fd, option->level, option->name, value, &length) < 0 ? -errno
									       : (int)length;
}

static bool has_same(int fd, int reference, const struct socket_option *option)
{
	unsigned char value[OPTION_MAX], expected[OPTION_MAX];

	return read_option(fd, option, value) == read_option(reference, option, expected) &&
	       memcmp(value, expected, sizeof value) == 0;
}

/* A program that decides which packets come through. Asked with no room, the kernel says how long
 * it is: 0, if there is none. */
static bool has_filter(int fd)
{
	socklen_t length = 0;

	return getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &length) < 0 || length != 0;
}

int listener_read_address(int fd, struct ipv4 *address, unsigned short *port)
{
	struct sockaddr_in name = {0};
	socklen_t length = sizeof name, size = sizeof(int);
	int listens = 0;

	if (getsockname(fd, (struct sockaddr *)&name, &length) < 0 || name.sin_family != AF_INET ||
		getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0 || !listens)
		return -EPROTO;
	*address = ipv4_from_net(name.sin_addr.s_addr);
	*port = ntohs(name.sin_port);
	return 0;
}

static int check_options(int fd, int reference, const char **what)
{
	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		if (!has_same(fd, reference, &options[i])) {
			*what = options[i].text;
			return -EPROTO;
		}
	*what = "a packet filter";
	return has_filter(fd) ? -EPROTO : 0;
}

int listener_check(
	int fd, int reference, struct ipv4 address, unsigned short port, const char **what)
{
	struct ipv4 own;
	unsigned short own_port;
	int error;

	*what = "where it listens";
	if (listener_read_address(fd, &own, &own_port) < 0 || !ipv4_equal(own, address) ||
		own_port != port)
		return -EPROTO;
	error = check_options(fd, reference, what);
	if (error < 0)
		return error;
	/* Both are the socket's, not the descriptor's. */
	*what = "its flags or its queue";
	return fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || listen(fd, LISTENER_BACKLOG) < 0 ? -errno : 0;
}
