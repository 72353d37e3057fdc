/* Finds a server's addresses with c-ares. Runs in the request process that looks a name up, as a
 * user without rights, in the order of look_up_run(). */
#include "client/look_up.h"

#include <errno.h>
#include <arpa/inet.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/sandbox.h"
#include "client/marked_sockets.h"
#include "client/resolv_conf.h"

enum {
	/* All of a request has 10 s: three servers that are silent take 3 s, then 6 s. */
	SERVER_TIME_MS = 1000,
	TRIES = 2,
	MS_PER_S = 1000,
	US_PER_MS = 1000,
	WATCHED = 2 * (MARKED_DATAGRAM_SOCKETS + MARKED_STREAM_SOCKETS),
};

/* A question for addresses of one family. */
struct family_question {
	struct request_names *names; /* NULL: it is enough to know that there are some */
	bool is_done;
	bool is_filtered; /* there was an answer, of nothing but 0.0.0.0 */
	int status; /* ARES_..., once it is done */
};

struct look_up {
	struct marked_sockets *sockets;
	const char *file; /* resolv.conf(5) */
	bool has_server; /* it names one */
	ares_channel channel;
	struct pollfd watched[WATCHED];
	size_t n_watched;
	struct family_question ipv4, ipv6;
};

int look_up_open(uint32_t mark, struct look_up **result)
{
	struct look_up *look_up = calloc(1, sizeof *look_up);
	int error = look_up ? marked_sockets_open(mark, &look_up->sockets) : -ENOMEM;

	if (error < 0)
		free(look_up);
	else
		*result = look_up;
	return error;
}

/* Which sockets c-ares waits for, as it opens and closes them. */
static void on_socket(void *context, ares_socket_t fd, int readable, int writable)
{
	struct look_up *look_up = context;
	short events = (short)((readable ? POLLIN : 0) | (writable ? POLLOUT : 0));
	size_t i = 0;

	while (i < look_up->n_watched && look_up->watched[i].fd != fd)
		i++;
	if (events == 0 && i < look_up->n_watched)
		look_up->watched[i] = look_up->watched[--look_up->n_watched];
	else if (events != 0 && i < WATCHED)
		look_up->watched[i] = (struct pollfd){.fd = fd, .events = events};
	if (events != 0 && i == look_up->n_watched && i < WATCHED)
		look_up->n_watched++;
}

static int open_channel(struct look_up *look_up)
{
	struct ares_options options = {
		.timeout = SERVER_TIME_MS,
		.tries = TRIES,
		.lookups = (char *)"fb",
		.resolvconf_path = (char *)look_up->file,
		.sock_state_cb = on_socket,
		.sock_state_cb_data = look_up,
		.flags = ARES_FLAG_NOALIASES,
	};
	int status = ares_library_init(ARES_LIB_INIT_ALL);

	if (status == ARES_SUCCESS)
		status = ares_init_options(&look_up->channel, &options,
			ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
				ARES_OPT_RESOLVCONF | ARES_OPT_SOCK_STATE_CB | ARES_OPT_FLAGS);
	if (status == ARES_SUCCESS)
		marked_sockets_serve(look_up->sockets, look_up->channel);
	return status;
}

/* 0.0.0.0, which is also what filters of names answer, means this host itself, and is none. */
static struct ipv4 address_of(const struct ares_addrinfo_node *node)
{
	if (node->ai_family != AF_INET)
		return (struct ipv4){0};
	return ipv4_from_net(
		((const struct sockaddr_in *)(const void *)node->ai_addr)->sin_addr.s_addr);
}

static void add_names(struct request_names *names, const struct ares_addrinfo *found)
{
	for (const struct ares_addrinfo_node *node = found->nodes;
		node && names->n < REQUEST_ADDRESSES_MAX; node = node->ai_next)
		if (address_of(node).value != 0)
			names->addresses[names->n++] = address_of(node);
}

static void on_answer(void *context, int status, int timeouts, struct ares_addrinfo *found)
{
	struct family_question *question = context;

	(void)timeouts;
	question->is_done = true;
	question->status = status == ARES_SUCCESS && !found->nodes ? ARES_ENODATA : status;
	if (question->status == ARES_SUCCESS && question->names) {
		add_names(question->names, found);
		question->is_filtered = question->names->n == 0;
		if (question->is_filtered)
			question->status = ARES_ENODATA;
	}
	if (found)
		ares_freeaddrinfo(found);
}

static void ask(
	struct look_up *look_up, const char *name, int family, struct family_question *question)
{
	const struct ares_addrinfo_hints hints = {.ai_family = family,
		.ai_socktype = SOCK_STREAM,
		/* sorting would ask the kernel, by sockets */
		.ai_flags = ARES_AI_NOSORT};

	ares_getaddrinfo(look_up->channel, name, NULL, &hints, on_answer, question);
}

/* Both are asked at once; the one for IPv6 is only for the message, if there is nothing else. */
static bool is_decided(const struct look_up *look_up)
{
	const struct family_question *ipv4 = &look_up->ipv4;

	return ipv4->is_done && (ipv4->status == ARES_SUCCESS || look_up->ipv6.is_done);
}

static int wait_ms(const struct look_up *look_up)
{
	struct timeval most = {.tv_sec = SERVER_TIME_MS / MS_PER_S}, time;
	const struct timeval *next = ares_timeout(look_up->channel, &most, &time);

	return (int)(next->tv_sec * MS_PER_S + (next->tv_usec + US_PER_MS - 1) / US_PER_MS);
}

static void serve_sockets(struct look_up *look_up)
{
	struct pollfd now[WATCHED];
	size_t n = look_up->n_watched;
	int ready;

	memcpy(now, look_up->watched, n * sizeof *now);
	ready = poll(now, n, wait_ms(look_up));
	for (size_t i = 0; i < n && ready > 0; i++)
		if (now[i].revents != 0)
			ares_process_fd(look_up->channel,
				now[i].revents & ~POLLOUT ? now[i].fd : ARES_SOCKET_BAD,
				now[i].revents & POLLOUT ? now[i].fd : ARES_SOCKET_BAD);
	ares_process_fd(look_up->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

/* Whoever it was that did not answer. */
static void write_silence(struct look_up *look_up, const char *name, char *why, size_t size)
{
	struct ares_addr_port_node *servers = NULL;
	char text[INET6_ADDRSTRLEN] = "?";
	bool is_own = false;

	if (ares_get_servers_ports(look_up->channel, &servers) == ARES_SUCCESS && servers) {
		inet_ntop(servers->family, &servers->addr, text, sizeof text);
		is_own = servers->family == AF_INET &&
			 ipv4_from_net(servers->addr.addr4.s_addr).value >> 24 == IN_LOOPBACKNET;
	}
	snprintf(why, size, "cannot find %s: no answer of %s%s, the name server%s of %s%s", name,
		text, servers && servers->next ? " and the others" : "",
		servers && servers->next ? "s" : "", look_up->file,
		is_own ? "; what that program itself asks others does not pass the block of --route"
		       : "");
	ares_free_data(servers);
}

static int fail(struct look_up *look_up, const char *name, char *why, size_t size)
{
	int status = look_up->ipv4.status;

	if (look_up->ipv4.is_filtered)
		snprintf(why, size,
			"cannot find %s: the answer is 0.0.0.0, as filters of names give it; give "
			"the server's address instead, or have the name let through",
			name);
	else if (look_up->ipv6.status == ARES_SUCCESS && look_up->ipv6.is_done)
		snprintf(why, size,
			"%s has IPv6 addresses alone: a vprox server is reached by IPv4, so its "
			"name needs an A record",
			name);
	else if (status == ARES_ENOTFOUND || status == ARES_ENODATA)
		snprintf(why, size, "cannot find %s: there is no such name, by /etc/hosts and %s",
			name, look_up->file);
	else if (!look_up->has_server)
		snprintf(why, size,
			"cannot find %s: %s names no name server; an address instead of the name, "
			"or a line in /etc/hosts, needs none",
			name, look_up->file);
	else if (status == ARES_ETIMEOUT || status == ARES_ECONNREFUSED)
		write_silence(look_up, name, why, size);
	else
		snprintf(why, size, "cannot find %s: %s", name, ares_strerror(status));
	return -ENOENT;
}

int look_up_run(struct look_up *look_up, const char *name, struct request_names *names, char *why,
	size_t size)
{
	int status, error;

	look_up->file = resolv_conf_upstream();
	look_up->has_server = resolv_conf_has_server(look_up->file);
	look_up->ipv4.names = names;
	status = open_channel(look_up);
	if (status != ARES_SUCCESS) {
		snprintf(why, size, "cannot look up %s by %s: %s", name, look_up->file,
			ares_strerror(status));
		return -EIO;
	}
	/* /etc/hosts is read here, what is asked is sent */
	ask(look_up, name, AF_INET, &look_up->ipv4);
	if (!is_decided(look_up))
		ask(look_up, name, AF_INET6, &look_up->ipv6);
	error = sandbox_filter_calls_of_look_up();
	if (error < 0) {
		snprintf(why, size, "cannot limit the system calls: %s", strerror(-error));
		return error;
	}
	while (!is_decided(look_up))
		serve_sockets(look_up);
	return names->n > 0 ? 0 : fail(look_up, name, why, size);
}

void look_up_close(struct look_up *look_up)
{
	if (!look_up)
		return;
	if (look_up->channel)
		ares_destroy(look_up->channel);
	marked_sockets_close(look_up->sockets);
	free(look_up);
}
