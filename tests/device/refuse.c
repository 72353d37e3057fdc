/*
 * Preloaded into a device by the tests: a kernel that lacks, or refuses, what saves work. The test
 * says in a file what (tests/device/refuse.py), and may change it while the device runs; the file
 * is mapped here before the device gives up its rights. Runs in all threads of the device, and in
 * its helper.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

/* As tests/device/refuse.py has them. */
enum what {
	UDP_SENDS_OF_MANY, /* EIO */
	UDP_SENDS_OF_MANY_INVALID, /* EINVAL */
	UDP_RECEIVES_OF_MANY,
	TUN_OFFLOAD,
	TUN_USO,
	TUN_JOINED_WRITES,
	BATCH_CALLS,
	BPF_PROGRAMS,
	KINDS,
};

static struct refuse {
	_Atomic uint64_t what; /* a bit each */
	_Atomic uint64_t times[KINDS]; /* that each was */
} * refuse;

static void *real(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("REFUSE");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

	if (fd < 0)
		abort();
	refuse = mmap(NULL, sizeof *refuse, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (refuse == MAP_FAILED)
		abort();
}

static bool refuses(enum what what, int error)
{
	if (!(refuse->what >> what & 1))
		return false;
	refuse->times[what]++;
	errno = error;
	return true;
}

ssize_t writev(int fd, const struct iovec *vector, int n)
{
	static ssize_t (*next)(int, const struct iovec *, int);
	const struct virtio_net_hdr *header = vector[0].iov_base;

	if (n > 1 && vector[0].iov_len == sizeof *header && (header->gso_type || header->flags) &&
		refuses(TUN_JOINED_WRITES, EINVAL))
		return -1;
	if (!next)
		*(void **)&next = real("writev");
	return next(fd, vector, n);
}

static bool is_of_many(const struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c;
		c = CMSG_NXTHDR((struct msghdr *)message, c))
		if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_SEGMENT)
			return true;
	return false;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	static ssize_t (*next)(int, const struct msghdr *, int);

	if (is_of_many(message) &&
		(refuses(UDP_SENDS_OF_MANY, EIO) || refuses(UDP_SENDS_OF_MANY_INVALID, EINVAL)))
		return -1;
	if (!next)
		*(void **)&next = real("sendmsg");
	return next(fd, message, flags);
}

int sendmmsg(int fd, struct mmsghdr *messages, unsigned int n, int flags)
{
	static int (*next)(int, struct mmsghdr *, unsigned int, int);

	if (refuses(BATCH_CALLS, ENOSYS))
		return -1;
	if (!next)
		*(void **)&next = real("sendmmsg");
	return next(fd, messages, n, flags);
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned int n, int flags, struct timespec *timeout)
{
	static int (*next)(int, struct mmsghdr *, unsigned int, int, struct timespec *);

	if (refuses(BATCH_CALLS, ENOSYS))
		return -1;
	if (!next)
		*(void **)&next = real("recvmmsg");
	return next(fd, messages, n, flags, timeout);
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
	static int (*next)(int, int, int, const void *, socklen_t);

	if (level == SOL_UDP && option == UDP_GRO && refuses(UDP_RECEIVES_OF_MANY, ENOPROTOOPT))
		return -1;
	if (!next)
		*(void **)&next = real("setsockopt");
	return next(fd, level, option, value, size);
}

int ioctl(int fd, unsigned long request, ...)
{
	static int (*next)(int, unsigned long, unsigned long);
	unsigned long argument;
	va_list list;

	va_start(list, request);
	argument = va_arg(list, unsigned long);
	va_end(list);
	if (request == TUNSETOFFLOAD &&
		(refuses(TUN_OFFLOAD, EINVAL) || (argument & 0x60 /* TUN_F_USO4 | TUN_F_USO6 */ &&
							 refuses(TUN_USO, EINVAL))))
		return -1;
	if (!next)
		*(void **)&next = real("ioctl");
	return next(fd, request, argument);
}

long syscall(long number, ...)
{
	static long (*next)(long, long, long, long, long, long, long);
	long a[6];
	va_list list;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if (number == SYS_bpf && refuses(BPF_PROGRAMS, EPERM))
		return -1;
	if (!next)
		*(void **)&next = real("syscall");
	return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
