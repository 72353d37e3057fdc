/* When which peers of the fast path are brought up to date, and the privileged helper's part in it.
 * Runs in the control thread. */
#include "device/fast_path_control.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "device/ipip/ipip.h"
#include "device/peers.h"

enum {
	REFRESH_INTERVAL_MS = 200, /* between two refreshes: routes may change many at a time */
	REFRESH_AGE_MS = 10 * 60 * 1000, /* as long as the kernel believes what a router said */
	ERRORS_PER_TURN = 64,
	PEERS_PER_TURN = 64, /* each takes some 50 us, in which nobody's handshake is answered */
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

/* From the first one on. */
static void begin_refresh(struct device *device)
{
	struct fast_path_schedule *schedule = &device->schedule;

	if (schedule->refreshes)
		peer_cursor_end(device, &schedule->refreshed);
	schedule->refreshes = true;
	peer_cursor_begin(device, &schedule->refreshed);
}

static void end_refresh(struct device *device)
{
	device->schedule.refreshes = false;
	peer_cursor_end(device, &device->schedule.refreshed);
}

/* Until then a peer goes packet by packet, or the way that was right before. */
static void refresh_some(struct device *device)
{
	for (int i = 0; i < PEERS_PER_TURN && device->schedule.refreshes; i++) {
		struct target *target = peer_cursor_next(&device->schedule.refreshed);

		if (!target || !fast_path_is_open(&device->fast_path))
			end_refresh(device);
		else if (target->kind == TARGET_IPIP)
			fast_path_update(&device->fast_path, ipip_peer_of(target));
	}
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
	begin_refresh(device);
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

	if (schedule->refreshes)
		return 0;
	if (schedule->stale || atomic_load(&device->shared.ipip.has_errors))
		return schedule->polled_ms + REFRESH_INTERVAL_MS;
	return is_wanted(device) ? schedule->refreshed_ms + REFRESH_AGE_MS : UINT64_MAX;
}

static void refresh_when_due(struct device *device, uint64_t now)
{
	struct fast_path_schedule *schedule = &device->schedule;
	bool aged = now >= schedule->refreshed_ms + REFRESH_AGE_MS;

	/* One that is under way comes to its end first: where routes change all the time, too. */
	if (schedule->refreshes || (!schedule->stale && !aged))
		return;
	schedule->stale = false;
	if (!fast_path_is_open(&device->fast_path)) {
		if (aged && is_wanted(device))
			fast_path_control_open(device);
		return;
	}
	schedule->refreshed_ms = now;
	begin_refresh(device);
}

void fast_path_control_run(struct device *device)
{
	struct fast_path_schedule *schedule = &device->schedule;
	uint64_t now = clock_now_ms(&boot_clock);

	if (now < fast_path_control_deadline(device))
		return;
	refresh_some(device);
	if (now < schedule->polled_ms + REFRESH_INTERVAL_MS)
		return;
	schedule->polled_ms = now;
	if (atomic_exchange(&device->shared.ipip.has_errors, false))
		refresh_narrower(device);
	refresh_when_due(device, now);
}
