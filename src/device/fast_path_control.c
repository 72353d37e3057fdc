/* When which peers of the fast path are brought up to date, and the privileged helper's part in it.
 * Runs in the control thread. */
#include "device/fast_path_control.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "device/ipip/ipip.h"

enum {
	REFRESH_INTERVAL_MS = 200, /* between two refreshes: routes may change many at a time */
	REFRESH_AGE_MS = 10 * 60 * 1000, /* as long as the kernel believes what a router said */
	ERRORS_PER_TURN = 64,
};

static int open_programs(
	void *context, struct in_addr local, unsigned int tun, int *tx_map, int *rx_map)
{
	struct device *device = context;
	int error = privileged_helper_open_programs(&device->helper, local, tun);

	if (error < 0)
		return error;
	*tx_map = privileged_helper_tx_map(&device->helper);
	*rx_map = privileged_helper_rx_map(&device->helper);
	return *tx_map < 0 || *rx_map < 0 ? -EMFILE : 0;
}

static int attach_programs(void *context, unsigned int interface)
{
	struct device *device = context;

	return privileged_helper_attach_programs(&device->helper, interface);
}

static int close_programs(void *context)
{
	struct device *device = context;

	return privileged_helper_close_programs(&device->helper);
}

static const struct fast_path_ops helper_ops = {
	.open = open_programs,
	.attach = attach_programs,
	.close = close_programs,
};

int fast_path_control_init(struct device *device)
{
	return fast_path_init(&device->fast_path, &helper_ops, device);
}

static void refresh_all(struct device *device)
{
	if (!fast_path_is_open(&device->fast_path))
		return;
	for (struct target *t = device->first; t; t = t->next)
		if (t->kind == TARGET_IPIP)
			fast_path_update(&device->fast_path, ipip_peer_of(t));
}

/* Once the TUN has gone to another namespace, routing is another there. */
static bool is_wanted(const struct device *device)
{
	return !device->no_fast_path && device->interface != 0 &&
	       atomic_load(&device->shared.ipip.raw) >= 0;
}

void fast_path_control_open(struct device *device)
{
	struct fast_path_schedule *schedule = &device->schedule;
	int error;

	fast_path_close(&device->fast_path);
	if (!is_wanted(device))
		return;
	error = fast_path_open(&device->fast_path, device->ipip_local, device->interface);
	if (error < 0 && !schedule->said)
		log_info("%s: IPIP goes packet by packet: the kernel refuses its BPF programs: %s",
			device->shared.tun.name, strerror(-error));
	schedule->said = error < 0;
	schedule->refreshed_ms = clock_now_ms(&boot_clock);
	refresh_all(device);
}

/* Anybody may send such errors: no more at a time than can be dealt with. */
static void refresh_narrower(struct device *device)
{
	struct in_addr remote;

	for (int i = 0; i < ERRORS_PER_TURN; i++) {
		struct ipip_peer *peer;

		if (!ipip_read_error(device->shared.ipip.fragmenting, &remote))
			return;
		peer = ipip_find_peer(&device->shared.ipip, remote);
		if (peer)
			fast_path_update(&device->fast_path, peer);
	}
	atomic_store(&device->shared.ipip.has_errors, true);
}

uint64_t fast_path_control_deadline(const struct device *device)
{
	const struct fast_path_schedule *schedule = &device->schedule;

	if (schedule->stale || atomic_load(&device->shared.ipip.has_errors))
		return schedule->polled_ms + REFRESH_INTERVAL_MS;
	return is_wanted(device) ? schedule->refreshed_ms + REFRESH_AGE_MS : UINT64_MAX;
}

static void refresh_when_due(struct device *device, uint64_t now)
{
	struct fast_path_schedule *schedule = &device->schedule;
	bool aged = now >= schedule->refreshed_ms + REFRESH_AGE_MS;

	if (!schedule->stale && !aged)
		return;
	schedule->stale = false;
	if (!fast_path_is_open(&device->fast_path)) {
		if (aged && is_wanted(device))
			fast_path_control_open(device);
		return;
	}
	schedule->refreshed_ms = now;
	refresh_all(device);
}

void fast_path_control_run(struct device *device)
{
	struct fast_path_schedule *schedule = &device->schedule;
	uint64_t now = clock_now_ms(&boot_clock);

	if (now < fast_path_control_deadline(device))
		return;
	schedule->polled_ms = now;
	if (atomic_exchange(&device->shared.ipip.has_errors, false))
		refresh_narrower(device);
	refresh_when_due(device, now);
}
