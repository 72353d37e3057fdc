/*
 * The privileged helper's process, and the device's side of asking it. The helper is forked before
 * there are threads, and ends with the device; the control thread asks and waits.
 */
#include "device/privileged_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/netlink.h>

#include "base/descriptor.h"
#include "device/confine.h"
#include "device/io/udp.h"
#include "device/ipip/ipip.h"
#include "device/ipip/ipip_programs.h"
#include "netlink/link.h"
#include "netlink/socket.h"

enum helper_operation {
	OPEN_UDP,
	OPEN_IPIP,
	SET_MARK, /* the socket comes with the request */
	SET_GSO_SIZE,
	OPEN_PROGRAMS,
	TX_MAP,
	RX_MAP,
	ATTACH_PROGRAMS,
	CLOSE_PROGRAMS,
	GIVE_PROGRAM,
	ADOPT_PROGRAM, /* what is adopted comes with the request */
	OWN_PATHS,
};

struct helper_request {
	enum helper_operation operation;
	int family;
	uint16_t port;
	bool shared;
	bool fragmenting;
	uint32_t mark;
	struct in_addr local;
	unsigned int interface;
	unsigned int size;
	unsigned int number;
	bool owned;
};

/* Waits until it is sent. */
static int send_with_fd(int to, const void *data, size_t length, int fd)
{
	int error;

	do
		error = descriptor_send(to, data, length, fd, 0);
	while (error == -EINTR);
	return error;
}

/* Waits until it comes. Returns 0 or -errno; -EPROTO for what is not of that length. *fd is -1 if
 * none came, or on failure. */
static int receive_with_fd(int from, void *data, size_t length, int *fd)
{
	int n;

	do
		n = descriptor_receive(from, data, length, fd, 0);
	while (n == -EINTR);
	if (n == (int)length)
		return 0;
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	return n < 0 ? n : -EPROTO;
}

/* What the helper's process has. */
struct helper_state {
	struct netlink *netlink;
	struct ipip_programs programs;
	bool owns_paths;
};

static int set_mark(int fd, uint32_t mark)
{
	int value = (int)mark;

	return setsockopt(fd, SOL_SOCKET, SO_MARK, &value, sizeof value) < 0 ? -errno : 0;
}

/* Of a TUN alone: a device that was taken over must not slow the host's own interfaces down. */
static int set_gso_size(struct netlink *netlink, unsigned int interface, unsigned int size)
{
	const struct link_change change = {.gso_max_size = size};
	struct link link;
	int error = link_get_index(netlink, interface, &link);

	if (error == 0 && strcmp(link.kind, "tun") != 0)
		error = -EPERM;
	if (error == 0)
		error = link_set(netlink, interface, &change);
	return error == -EOPNOTSUPP || error == -EINVAL ? 0 : error;
}

static int copy_fd(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return copy < 0 ? -errno : copy;
}

/* *opened: the result is a file descriptor that only the device keeps. */
static int perform(
	struct helper_state *state, const struct helper_request *request, int fd, bool *opened)
{
	struct ipip_programs *programs = &state->programs;

	*opened = false;
	switch (request->operation) {
	case OPEN_UDP:
		if (request->family != AF_INET && request->family != AF_INET6)
			return -EAFNOSUPPORT;
		*opened = true;
		return udp_open(request->family, request->port, request->mark, request->shared);
	case OPEN_IPIP:
		*opened = true;
		return ipip_open(request->local, request->mark, request->fragmenting);
	case SET_MARK:
		return set_mark(fd, request->mark);
	case SET_GSO_SIZE:
		return set_gso_size(state->netlink, request->interface, request->size);
	case OPEN_PROGRAMS:
		return ipip_programs_open(programs, request->local, request->interface);
	case TX_MAP:
		*opened = true;
		return copy_fd(programs->tx_map);
	case RX_MAP:
		*opened = true;
		return copy_fd(programs->rx_map);
	case ATTACH_PROGRAMS:
		return ipip_programs_attach(programs, request->interface);
	case CLOSE_PROGRAMS:
		ipip_programs_close(programs);
		return 0;
	case GIVE_PROGRAM:
		*opened = true;
		return copy_fd(ipip_programs_file(programs, request->number));
	case ADOPT_PROGRAM:
		return ipip_programs_adopt(programs, request->number, copy_fd(fd));
	case OWN_PATHS:
		state->owns_paths = request->owned;
		return 0;
	}
	return -EINVAL;
}

static void serve(struct helper_state *state, int socket)
{
	struct helper_request request;
	int fd;

	while (receive_with_fd(socket, &request, sizeof request, &fd) == 0) {
		bool opened;
		int result = perform(state, &request, fd, &opened);
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

/* A file that is the helper's to remove. */
struct own_file {
	const char *path;
	struct stat made;
};

/* What is at a path by now may be another device's. The time tells one with the same number. */
static void unlink_own(const struct own_file *file)
{
	const struct stat *own = &file->made;
	struct stat now;

	if (file->path && lstat(file->path, &now) == 0 && now.st_dev == own->st_dev &&
		now.st_ino == own->st_ino && now.st_ctim.tv_sec == own->st_ctim.tv_sec &&
		now.st_ctim.tv_nsec == own->st_ctim.tv_nsec)
		unlink(file->path);
}

/* The child's process, which does not return. */
static _Noreturn void run_helper(int socket, const struct own_file *files, bool owns_paths)
{
	struct helper_state state = {.owns_paths = owns_paths};
	int null = open("/dev/null", O_RDWR);

	/* everything else is the device's, and its caller's: their ends must be seen */
	if (dup2(socket, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
		dup2(null, STDERR_FILENO) < 0)
		_exit(EXIT_FAILURE);
	close_range(STDERR_FILENO + 1, ~0u, 0);
	/* it ends with the device, not with what ends the device */
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	ipip_programs_init(&state.programs);
	if (netlink_open(NETLINK_ROUTE, &state.netlink) < 0 || confine_privileged_helper() < 0)
		_exit(EXIT_FAILURE);
	serve(&state, STDIN_FILENO);
	for (int i = 0; i < PRIVILEGED_HELPER_PATHS && state.owns_paths; i++)
		unlink_own(&files[i]);
	_exit(EXIT_SUCCESS);
}

int privileged_helper_start(struct privileged_helper *helper,
	const char *const paths[PRIVILEGED_HELPER_PATHS], bool owns_paths)
{
	struct own_file files[PRIVILEGED_HELPER_PATHS];
	int pair[2];
	pid_t pid;

	for (int i = 0; i < PRIVILEGED_HELPER_PATHS; i++) {
		/* somebody may have removed it: then there is nothing to remove */
		files[i].path = lstat(paths[i], &files[i].made) == 0 ? paths[i] : NULL;
	}
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
		helper->fd = pair[0];
		return 0;
	}
	run_helper(pair[1], files, owns_paths);
}

/* Returns the opened file descriptor, or 0, or a negative errno. */
static int ask(struct privileged_helper *helper, const struct helper_request *request, int fd)
{
	int error = send_with_fd(helper->fd, request, sizeof *request, fd), answer;

	if (error < 0)
		return error;
	error = receive_with_fd(helper->fd, &answer, sizeof answer, &fd);
	if (error < 0)
		return error;
	return answer < 0 ? answer : fd < 0 ? 0 : fd;
}

/* A request all of whose bytes are set: its padding goes over the socket too. */
static struct helper_request request_for(enum helper_operation operation)
{
	struct helper_request request;

	memset(&request, 0, sizeof request);
	request.operation = operation;
	return request;
}

int privileged_helper_open_udp(
	struct privileged_helper *helper, int family, uint16_t port, uint32_t mark, bool shared)
{
	struct helper_request request = request_for(OPEN_UDP);

	request.family = family;
	request.port = port;
	request.mark = mark;
	request.shared = shared;
	return ask(helper, &request, -1);
}

int privileged_helper_open_ipip(
	struct privileged_helper *helper, struct in_addr local, uint32_t mark, bool fragmenting)
{
	struct helper_request request = request_for(OPEN_IPIP);

	request.local = local;
	request.mark = mark;
	request.fragmenting = fragmenting;
	return ask(helper, &request, -1);
}

int privileged_helper_set_mark(struct privileged_helper *helper, int fd, uint32_t mark)
{
	struct helper_request request = request_for(SET_MARK);

	request.mark = mark;
	return ask(helper, &request, fd);
}

int privileged_helper_set_gso_size(
	struct privileged_helper *helper, unsigned int interface, unsigned int size)
{
	struct helper_request request = request_for(SET_GSO_SIZE);

	request.interface = interface;
	request.size = size;
	return ask(helper, &request, -1);
}

int privileged_helper_open_programs(
	struct privileged_helper *helper, struct in_addr local, unsigned int tun)
{
	struct helper_request request = request_for(OPEN_PROGRAMS);

	request.local = local;
	request.interface = tun;
	return ask(helper, &request, -1);
}

int privileged_helper_tx_map(struct privileged_helper *helper)
{
	struct helper_request request = request_for(TX_MAP);

	return ask(helper, &request, -1);
}

int privileged_helper_rx_map(struct privileged_helper *helper)
{
	struct helper_request request = request_for(RX_MAP);

	return ask(helper, &request, -1);
}

int privileged_helper_attach_programs(struct privileged_helper *helper, unsigned int interface)
{
	struct helper_request request = request_for(ATTACH_PROGRAMS);

	request.interface = interface;
	return ask(helper, &request, -1);
}

int privileged_helper_close_programs(struct privileged_helper *helper)
{
	struct helper_request request = request_for(CLOSE_PROGRAMS);

	return ask(helper, &request, -1);
}

int privileged_helper_give_program(struct privileged_helper *helper, unsigned int number)
{
	struct helper_request request = request_for(GIVE_PROGRAM);

	request.number = number;
	return ask(helper, &request, -1);
}

int privileged_helper_adopt_program(struct privileged_helper *helper, unsigned int number, int fd)
{
	struct helper_request request = request_for(ADOPT_PROGRAM);

	request.number = number;
	return ask(helper, &request, fd);
}

int privileged_helper_own_paths(struct privileged_helper *helper, bool owned)
{
	struct helper_request request = request_for(OWN_PATHS);

	request.owned = owned;
	return ask(helper, &request, -1);
}
