/* Requests on the control socket of a device that has no other sockets. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "device/control.h"
#include "device/peers.h"
#include "device/uapi/uapi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void send_nothing(void *context, struct wg_peer *peer, const void *datagram, size_t length)
{
	(void)context;
	(void)peer;
	(void)datagram;
	(void)length;
}

static void release(void *context, struct wg_peer *peer)
{
	(void)context;
	free(peer);
}

static uint64_t wall_ns(void)
{
	return 1;
}

static int close_nothing(void *context)
{
	(void)context;
	return 0;
}

static const struct fast_path_ops no_fast_path = {.close = close_nothing};

static const struct wireguard_ops ops = {.send = send_nothing, .release = release};

static void init(struct device *device)
{
	memset(device, 0, sizeof *device);
	device->helper.fd = -1;
	device->fast_path = (struct fast_path){.tx_map = -1, .rx_map = -1, .ops = &no_fast_path};
	epoch_init(&device->shared.epoch, 0);
	allowedips_init(&device->shared.inner, &device->shared.epoch);
	ipip_init(&device->shared.ipip, &device->shared.epoch, &device->shared.mtu,
		&device->shared.drops, &device->shared.refusals);
	staged_packets_init(&device->shared.staged);
	control_init(&device->shared.wireguard, &device->shared.epoch, &ops, device, &system_clock,
		wall_ns, noise_random);
}

static void end(struct device *device)
{
	device_remove_peers(device, TARGET_WIREGUARD);
	device_remove_peers(device, TARGET_IPIP);
	control_run(&device->shared.wireguard);
	epoch_free(&device->shared.epoch);
	control_free(&device->shared.wireguard);
	allowedips_free(&device->shared.inner);
	ipip_free(&device->shared.ipip);
	staged_packets_free(&device->shared.staged);
}

/* A listening socket, at an address that the kernel chooses; and who asks. */
static int open_listener(struct sockaddr_un *address, socklen_t *size)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	*size = sizeof *address;
	if (bind(fd, (struct sockaddr *)address, sizeof address->sun_family) < 0 ||
		listen(fd, 1) < 0 || getsockname(fd, (struct sockaddr *)address, size) < 0)
		abort();
	return fd;
}

static int connect_to(const struct sockaddr_un *address, socklen_t size)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (connect(fd, (const struct sockaddr *)address, size) < 0)
		abort();
	return fd;
}

/* All that there is to do for the device; and the answers are read. */
static void serve(struct uapi *uapi, int epoll, int asker)
{
	struct epoll_event event;
	char answer[4096];

	while (epoll_wait(epoll, &event, 1, 0) == 1)
		uapi_serve(uapi, event.data.ptr);
	while (recv(asker, answer, sizeof answer, 0) > 0)
		while (epoll_wait(epoll, &event, 1, 0) == 1)
			uapi_serve(uapi, event.data.ptr);
}

/* The first byte says how much is sent at a time. */
static void ask(struct uapi *uapi, int epoll, int asker, const uint8_t *data, size_t size)
{
	const size_t part = size > 0 ? (size_t)*data + 1 : 1;

	for (size_t at = 1, n; at < size; at += n) {
		n = size - at < part ? size - at : part;
		if (send(asker, data + at, n, MSG_NOSIGNAL) != (ssize_t)n)
			break;
		serve(uapi, epoll, asker);
	}
	shutdown(asker, SHUT_WR);
	serve(uapi, epoll, asker);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct device device;
	struct sockaddr_un address;
	socklen_t address_size;
	int listener = open_listener(&address, &address_size);
	int asker = connect_to(&address, address_size), epoll = epoll_create1(EPOLL_CLOEXEC);
	struct uapi *uapi;

	init(&device);
	uapi = uapi_new(&device, listener, epoll);
	if (!uapi)
		abort();
	ask(uapi, epoll, asker, data, size);
	uapi_free(uapi);
	close(asker);
	close(epoll);
	end(&device);
	return 0;
}
