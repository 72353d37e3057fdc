/* The lines of set operations, on a device without sockets. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "device/control.h"
#include "device/peers.h"
#include "device/uapi/uapi_get.h"
#include "device/uapi/uapi_set.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct device device;
	struct uapi_set set = {.device = &device};
	char *text = malloc(size + 1), *rest = text, *line;
	struct secret_text answer = {0};

	memset(&device, 0, sizeof device);
	device.helper.fd = -1;
	device.fast_path = (struct fast_path){.tx_map = -1, .rx_map = -1, .ops = &no_fast_path};
	epoch_init(&device.shared.epoch, 0);
	allowedips_init(&device.shared.inner, &device.shared.epoch);
	ipip_init(&device.shared.ipip, &device.shared.epoch, &device.shared.mtu,
		&device.shared.drops, &device.shared.refusals);
	staged_packets_init(&device.shared.staged);
	control_init(&device.shared.wireguard, &device.shared.epoch, &ops, &device, &system_clock,
		wall_ns, noise_random);
	memcpy(text, data, size);
	text[size] = '\0';
	while ((line = strsep(&rest, "\n"))) {
		char *value = strchr(line, '=');

		if (!value)
			continue;
		*value++ = '\0';
		uapi_set_line(&set, line, value);
	}
	free(text);
	uapi_get(&device, &answer);
	uapi_get_ipip(&device, &answer);
	secret_text_wipe(&answer);
	device_remove_peers(&device, TARGET_WIREGUARD);
	device_remove_peers(&device, TARGET_IPIP);
	control_run(&device.shared.wireguard);
	epoch_free(&device.shared.epoch);
	control_free(&device.shared.wireguard);
	allowedips_free(&device.shared.inner);
	ipip_free(&device.shared.ipip);
	staged_packets_free(&device.shared.staged);
	return 0;
}
