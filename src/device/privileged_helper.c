#include "device/privileged_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device/ipip/bpf.h"
#include "device/ipip/ipip.h"
#include "device/ipip/ipip_bpf.h"
#include "device/confine.h"
#include "device/io/tun.h"
#include "device/io/udp.h"

enum operation {
	OPEN_UDP,
	OPEN_RAW,
	SET_MARK, /* the socket comes with the request */
	SET_GSO_SIZE,
	SHORT_WAY,
	MAP_OUT,
	MAP_IN,
	SHORT_WAY_FROM,
	NO_SHORT_WAY,
};

enum { UPLINKS_MAX = 64 };

/* The opener's own: what hangs in the kernel as long as these are open. */
struct short_way {
	int map_out, map_in;
	int program_in;
	int links[UPLINKS_MAX + 1]; /* the first is the TUN's */
	unsigned int n_links;
};

struct request {
	enum operation operation;
	int family;
	uint16_t port;
	bool shared;
	bool fragmenting;
	uint32_t mark;
	struct in_addr local;
	unsigned int interface;
	unsigned int size;
};

/* Sends bytes, and a file descriptor if there is one. */
static int send_with_fd(int to, const void *data, size_t length, int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {0};
	struct iovec vector = {(void *)data, length};
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};

	if (fd >= 0) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		message.msg_control = control;
		message.msg_controllen = sizeof control;
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(c), &fd, sizeof fd);
	}
	while (sendmsg(to, &message, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* Returns the number of bytes, 0 at the end, or -errno. *fd is -1 if none came. */
static ssize_t receive_with_fd(int from, void *data, size_t length, int *fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof *fd)];
	struct iovec vector = {data, length};
	struct msghdr message = {.msg_iov = &vector,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control};
	struct cmsghdr *c;
	ssize_t n;

	*fd = -1;
	do
		n = recvmsg(from, &message, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	c = CMSG_FIRSTHDR(&message);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
		c->cmsg_len == CMSG_LEN(sizeof *fd))
		memcpy(fd, CMSG_DATA(c), sizeof *fd);
	return n;
}

static void close_short_way(struct short_way *way)
{
	while (way->n_links > 0)
		close(way->links[--way->n_links]);
	if (way->map_out >= 0)
		close(way->map_out);
	if (way->map_in >= 0)
		close(way->map_in);
	if (way->program_in >= 0)
		close(way->program_in);
	way->map_out = way->map_in = way->program_in = -1;
}

static int hang(struct short_way *way, int program, unsigned int interface, enum bpf_hook hook)
{
	int link;

	if (way->n_links == sizeof way->links / sizeof *way->links)
		return -ENOSPC;
	link = bpf_attach(program, interface, hook);
	if (link < 0)
		return link;
	way->links[way->n_links++] = link;
	return 0;
}

static int open_short_way(struct short_way *way, struct in_addr local, unsigned int tun)
{
	int program_out = -1, error;

	close_short_way(way);
	way->map_out = bpf_hash_map("vprox_ipip_out", sizeof(struct in_addr),
		sizeof(struct ipip_way_out), IPIP_WAYS_MAX);
	way->map_in = bpf_hash_map(
		"vprox_ipip_in", sizeof(struct in_addr), sizeof(struct ipip_way_in), IPIP_WAYS_MAX);
	if (way->map_out < 0 || way->map_in < 0) {
		error = way->map_out < 0 ? way->map_out : way->map_in;
		goto out;
	}
	way->program_in = error = ipip_load_in(way->map_in, local, tun);
	if (error >= 0)
		program_out = error = ipip_load_out(way->map_out, local);
	if (error >= 0)
		error = hang(way, program_out, tun, BPF_HOOK_EGRESS);
out:
	if (program_out >= 0)
		close(program_out);
	if (error < 0)
		close_short_way(way);
	return error;
}

/* *opened: the result is a file descriptor that only the device keeps. */
static int perform(struct short_way *way, const struct request *request, int fd, bool *opened)
{
	int mark = (int)request->mark;

	*opened = false;
	switch (request->operation) {
	case OPEN_UDP:
		if (request->family != AF_INET && request->family != AF_INET6)
			return -EAFNOSUPPORT;
		*opened = true;
		return udp_open(request->family, request->port, request->mark, request->shared);
	case OPEN_RAW:
		*opened = true;
		return ipip_open(request->local, request->mark, request->fragmenting);
	case SET_MARK:
		return setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) < 0 ? -errno : 0;
	case SET_GSO_SIZE:
		return tun_set_gso_size(request->interface, request->size);
	case SHORT_WAY:
		return open_short_way(way, request->local, request->interface);
	case MAP_OUT:
		*opened = true;
		return fcntl(way->map_out, F_DUPFD_CLOEXEC, 0);
	case MAP_IN:
		*opened = true;
		return fcntl(way->map_in, F_DUPFD_CLOEXEC, 0);
	case SHORT_WAY_FROM:
		return hang(way, way->program_in, request->interface, BPF_HOOK_INGRESS);
	case NO_SHORT_WAY:
		close_short_way(way);
		return 0;
	}
	return -EINVAL;
}

static void serve(int socket)
{
	struct short_way way = {.map_out = -1, .map_in = -1, .program_in = -1};
	struct request request;
	int fd;

	while (receive_with_fd(socket, &request, sizeof request, &fd) == sizeof request) {
		bool opened;
		int result = perform(&way, &request, fd, &opened);
		int error = result < 0 ? result : 0;

		opened = opened && result >= 0;
		if (send_with_fd(socket, &error, sizeof error, opened ? result : -1) < 0)
			break;
		if (opened)
			close(result);
		if (fd >= 0)
			close(fd);
	}
}

/* What is at a path by now may be another device's. The time tells one with the same number. */
static void unlink_own(const char *path, const struct stat *own)
{
	struct stat now;

	if (lstat(path, &now) == 0 && now.st_dev == own->st_dev && now.st_ino == own->st_ino &&
		now.st_ctim.tv_sec == own->st_ctim.tv_sec &&
		now.st_ctim.tv_nsec == own->st_ctim.tv_nsec)
		unlink(path);
}

int opener_start(struct opener *opener, const char *path)
{
	int pair[2], null;
	struct stat own;
	pid_t pid;

	if (path && lstat(path, &own) < 0)
		return -errno;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	pid = fork();
	if (pid < 0) {
		int error = -errno;

		close(pair[0]);
		close(pair[1]);
		return error;
	}
	if (pid > 0) {
		close(pair[1]);
		opener->fd = pair[0];
		return 0;
	}
	/* everything else is the device's, and its caller's: their ends must be seen */
	null = open("/dev/null", O_RDWR);
	if (dup2(pair[1], STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
		dup2(null, STDERR_FILENO) < 0)
		_exit(EXIT_FAILURE);
	close_range(STDERR_FILENO + 1, ~0u, 0);
	/* it ends with the device, not with what ends the device */
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (confine_opener() < 0)
		_exit(EXIT_FAILURE);
	serve(STDIN_FILENO);
	if (path)
		unlink_own(path, &own);
	_exit(EXIT_SUCCESS);
}

/* Returns the opened file descriptor, or 0, or a negative errno. */
static int ask(struct opener *opener, const struct request *request, int fd)
{
	int error = send_with_fd(opener->fd, request, sizeof *request, fd), answer;

	if (error < 0)
		return error;
	if (receive_with_fd(opener->fd, &answer, sizeof answer, &fd) != sizeof answer)
		return -EPIPE;
	return answer < 0 ? answer : fd < 0 ? 0 : fd;
}

/* A request all of whose bytes are set: its padding goes over the socket too. */
static struct request request_for(enum operation operation)
{
	struct request request;

	memset(&request, 0, sizeof request);
	request.operation = operation;
	return request;
}

int opener_udp(struct opener *opener, int family, uint16_t port, uint32_t mark, bool shared)
{
	struct request request = request_for(OPEN_UDP);

	request.family = family;
	request.port = port;
	request.mark = mark;
	request.shared = shared;
	return ask(opener, &request, -1);
}

int opener_raw(struct opener *opener, struct in_addr local, uint32_t mark, bool fragmenting)
{
	struct request request = request_for(OPEN_RAW);

	request.local = local;
	request.mark = mark;
	request.fragmenting = fragmenting;
	return ask(opener, &request, -1);
}

int opener_mark(struct opener *opener, int fd, uint32_t mark)
{
	struct request request = request_for(SET_MARK);

	request.mark = mark;
	return ask(opener, &request, fd);
}

int opener_gso_size(struct opener *opener, unsigned int interface, unsigned int size)
{
	struct request request = request_for(SET_GSO_SIZE);

	request.interface = interface;
	request.size = size;
	return ask(opener, &request, -1);
}

int opener_short_way(struct opener *opener, struct in_addr local, unsigned int tun)
{
	struct request request = request_for(SHORT_WAY);

	request.local = local;
	request.interface = tun;
	return ask(opener, &request, -1);
}

int opener_map_out(struct opener *opener)
{
	struct request request = request_for(MAP_OUT);

	return ask(opener, &request, -1);
}

int opener_map_in(struct opener *opener)
{
	struct request request = request_for(MAP_IN);

	return ask(opener, &request, -1);
}

int opener_short_way_from(struct opener *opener, unsigned int interface)
{
	struct request request = request_for(SHORT_WAY_FROM);

	request.interface = interface;
	return ask(opener, &request, -1);
}

int opener_no_short_way(struct opener *opener)
{
	struct request request = request_for(NO_SHORT_WAY);

	return ask(opener, &request, -1);
}
