/* Checks what a gate has passed on as its client's socket, and reads its addresses. Runs in the
 * broker. */
#include "server/client_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/socket.h>

/* A number that the kernel keeps for a socket. */
static int get_option(int fd, int option)
{
	int value = 0;
	socklen_t length = sizeof value;

	return getsockopt(fd, SOL_SOCKET, option, &value, &length) < 0 ? -errno : value;
}

/* Whoever has an account on the host has namespaces of his own, with any address in them. 0 where
 * the kernel does not tell (before Linux 5.14). */
static uint64_t namespace_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t length = sizeof cookie;

	getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length);
	return cookie;
}

static bool is_tcp(int fd)
{
	return get_option(fd, SO_DOMAIN) == AF_INET && get_option(fd, SO_TYPE) == SOCK_STREAM &&
	       get_option(fd, SO_PROTOCOL) == IPPROTO_TCP;
}

/* The client has shaken hands with us, and we have not hung up. -EPROTO: it listens. */
static int check_state(int fd)
{
	struct tcp_info info = {0};
	socklen_t length = sizeof info;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
		return -EPROTO;
	if (info.tcpi_state == TCP_LISTEN)
		return -EPROTO;
	return info.tcpi_state == TCP_ESTABLISHED || info.tcpi_state == TCP_CLOSE_WAIT ? 0
										       : -ENOTCONN;
}

/*
 * The mark is the lock on the socket's packet filter (socket(7), SO_LOCK_FILTER), which nobody else
 * has a use for here. It lives as long as the connection, however many there are; nothing can take
 * it off again; and a gate's filter of system calls does not let it be put on.
 */
static int mark_used(int fd)
{
	static const int on = 1;

	if (get_option(fd, SO_LOCK_FILTER) != 0)
		return -EALREADY;
	return setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof on) < 0 ? -EPROTO : 0;
}

static int read_addresses(int fd, struct client_socket *client)
{
	struct sockaddr_in peer = {0}, local = {0};
	socklen_t peer_length = sizeof peer, local_length = sizeof local;

	if (getpeername(fd, (struct sockaddr *)&peer, &peer_length) < 0 ||
		getsockname(fd, (struct sockaddr *)&local, &local_length) < 0)
		return -ENOTCONN;
	client->peer = ipv4_from_net(peer.sin_addr.s_addr);
	client->local = ipv4_from_net(local.sin_addr.s_addr);
	client->peer_port = ntohs(peer.sin_port);
	client->local_port = ntohs(local.sin_port);
	return 0;
}

int client_socket_claim(int fd, int ours, struct client_socket *client)
{
	int error;

	if (!is_tcp(fd) || namespace_of(fd) != namespace_of(ours))
		return -EPROTO;
	error = check_state(fd);
	if (error == 0)
		error = read_addresses(fd, client);
	return error < 0 ? error : mark_used(fd);
}
