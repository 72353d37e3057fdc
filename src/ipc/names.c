/* Looks up names. The first half runs in a child of the store's process, which is made at its
 * start; the second one in that process. */
#include "ipc/names.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sandbox.h"
#include "ipc/packet.h"

struct names {
	int fd;
};

/* The child */

/* As many as there is room for. */
static void add_address(struct names_answer *answer, const struct addrinfo *found)
{
	const bool is_ipv6 = found->ai_family == AF_INET6;
	const size_t used = strlen(answer->addresses);
	char address[NI_MAXHOST];
	int n;

	if (getnameinfo(found->ai_addr, found->ai_addrlen, address, sizeof address, NULL, 0,
		    NI_NUMERICHOST) != 0)
		return;
	n = snprintf(answer->addresses + used, sizeof answer->addresses - used, "%s%s%s%s",
		used > 0 ? "," : "", is_ipv6 ? "[" : "", address, is_ipv6 ? "]" : "");
	if ((size_t)n >= sizeof answer->addresses - used)
		answer->addresses[used] = '\0';
}

static void look_up(struct names_answer *answer)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	int error = getaddrinfo(answer->host, NULL, &hints, &found);

	if (error != 0)
		snprintf(answer->reason, sizeof answer->reason, "%s", gai_strerror(error));
	for (const struct addrinfo *each = found; each; each = each->ai_next)
		add_address(answer, each);
	if (found)
		freeaddrinfo(found);
}

static void serve(int fd)
{
	struct names_answer answer;
	ssize_t n;

	do {
		answer = (struct names_answer){0};
		n = recv(fd, answer.host, sizeof answer.host - 1, 0);
		if (n > 0)
			look_up(&answer);
	} while (n > 0 && send(fd, &answer, sizeof answer, MSG_NOSIGNAL) == sizeof answer);
}

static void run_child(int fd, int other, uid_t user, gid_t group)
{
	prctl(PR_SET_NAME, "vprox-names");
	close(other);
	if (chdir("/") == 0 && sandbox_drop_privileges(user, group) == 0)
		serve(fd);
	_exit(EXIT_SUCCESS);
}

/* Who asks */

int names_new(uid_t user, gid_t group, int other, struct names **result)
{
	struct names *names = calloc(1, sizeof *names);
	int ends[2], error;
	pid_t pid;

	if (!names)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
		error = -errno;
		free(names);
		return error;
	}
	pid = fork();
	if (pid == 0) {
		close(ends[0]);
		run_child(ends[1], other, user, group);
	}
	error = pid < 0 ? -errno : 0;
	close(ends[1]);
	names->fd = ends[0];
	if (error < 0) {
		names_free(names);
		return error;
	}
	*result = names;
	return 0;
}

int names_ask(struct names *names, const char *host)
{
	return send(names->fd, host, strlen(host), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

int names_receive(struct names *names, int timeout_ms, struct names_answer *answer)
{
	struct pollfd readable = {.fd = names->fd, .events = POLLIN};
	int n;

	if (poll(&readable, 1, timeout_ms) <= 0)
		return -EAGAIN;
	n = packet_receive(names->fd, answer, sizeof *answer);
	if (n < 0)
		return n;
	answer->host[sizeof answer->host - 1] = '\0';
	answer->addresses[sizeof answer->addresses - 1] = '\0';
	answer->reason[sizeof answer->reason - 1] = '\0';
	return n == sizeof *answer ? 0 : -EPROTO;
}

void names_free(struct names *names)
{
	if (!names)
		return;
	close(names->fd);
	free(names);
}
