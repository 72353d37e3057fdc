/* The lines of set operations, on a device without sockets. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "device/uapi/uapi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void send_nothing(void *context, struct peer *peer, const void *datagram, size_t length)
{
	(void)context;
	(void)peer;
	(void)datagram;
	(void)length;
}

static void release(void *context, struct peer *peer)
{
	(void)context;
	free(target_of_peer(peer));
}

static uint64_t wall_ns(void)
{
	return 1;
}

static const struct control_ops ops = {.send = send_nothing, .release = release};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct device device;
	struct uapi_set set = {.device = &device};
	char *text = malloc(size + 1), *rest = text, *line;
	size_t length;

	memset(&device, 0, sizeof device);
	device.opener.fd = -1;
	device.shared.raw = device.shared.raw_fragmenting = -1;
	device.short_way.map_out = device.short_way.map_in = device.short_way.netlink = -1;
	epoch_init(&device.shared.epoch, 0);
	allowedips_init(&device.shared.inner, &device.shared.epoch);
	allowedips_init(&device.shared.outer, &device.shared.epoch);
	waiting_init(&device.shared.waiting);
	control_init(&device.shared.control, &device.shared.epoch, &ops, &device, &system_clock,
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
	free(uapi_get(&device, &length));
	free(uapi_get_ipip(&device, &length));
	device_remove_all(&device, TARGET_WIREGUARD);
	device_remove_all(&device, TARGET_IPIP);
	control_run(&device.shared.control);
	epoch_free(&device.shared.epoch);
	control_free(&device.shared.control);
	allowedips_free(&device.shared.inner);
	allowedips_free(&device.shared.outer);
	waiting_free(&device.shared.waiting);
	return 0;
}
