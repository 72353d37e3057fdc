/* Makes the TUN device and its queues. Runs once, at the start, before the sandbox. */
#include "device/io/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "device/io/gso.h"

/* The first queue makes the device, and must not become one more of somebody else's. */
static int open_queue(const char *name, bool first, char *actual)
{
	struct ifreq request = {.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR |
						     IFF_MULTI_QUEUE | (first ? IFF_TUN_EXCL : 0))};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), error;

	if (fd < 0)
		return -errno;
	snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
	if (ioctl(fd, TUNSETIFF, &request) < 0) {
		error = -errno;
		close(fd);
		return error;
	}
	memcpy(actual, request.ifr_name, IFNAMSIZ);
	return fd;
}

/* The offloads belong to the device, not to the queue. */
static void set_offloads(struct tun *tun)
{
	static const unsigned int tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
	int fd = tun->queues[0];

	tun->uso = ioctl(fd, TUNSETOFFLOAD, tcp | TUN_F_USO4 | TUN_F_USO6) == 0;
	tun->tso = tun->uso || ioctl(fd, TUNSETOFFLOAD, tcp) == 0;
}

int tun_open(struct tun *tun, const char *name, unsigned int n_queues)
{
	if (n_queues > TUN_QUEUES_MAX)
		n_queues = TUN_QUEUES_MAX;
	tun->n_queues = 0;
	while (tun->n_queues < n_queues) {
		bool first = tun->n_queues == 0;
		int fd = open_queue(first ? name : tun->name, first, tun->name);

		if (fd < 0) {
			tun_close(tun);
			return fd;
		}
		tun->queues[tun->n_queues++] = fd;
	}
	set_offloads(tun);
	return 0;
}

void tun_adopt(struct tun *tun, const char *name, const int *queues, unsigned int n_queues)
{
	snprintf(tun->name, sizeof tun->name, "%s", name);
	tun->n_queues = n_queues;
	memcpy(tun->queues, queues, n_queues * sizeof *queues);
}

void tun_close(struct tun *tun)
{
	while (tun->n_queues > 0)
		close(tun->queues[--tun->n_queues]);
}

static int set_number(const struct tun *tun, unsigned long request, int value)
{
	auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = {.ifr_ifru.ifru_ivalue = value};

	if (fd < 0)
		return -errno;
	memcpy(ifr.ifr_name, tun->name, sizeof ifr.ifr_name);
	return ioctl(fd, request, &ifr) < 0 ? -errno : 0;
}

int tun_configure(const struct tun *tun, unsigned int mtu, unsigned int queue)
{
	int error = set_number(tun, SIOCSIFMTU, (int)mtu);

	return error < 0 ? error : set_number(tun, SIOCSIFTXQLEN, (int)queue);
}

int tun_mtu(const struct tun *tun)
{
	auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = {0};

	if (fd < 0)
		return -errno;
	memcpy(ifr.ifr_name, tun->name, sizeof ifr.ifr_name);
	return ioctl(fd, SIOCGIFMTU, &ifr) < 0 ? -errno : ifr.ifr_mtu;
}
