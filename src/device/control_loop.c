/* The control thread's turn: handshake messages from the workers, WireGuard's requests and timers,
 * the fast path. Runs in the control thread, from run.c's loop. */
#include "device/control_loop.h"

#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "device/control.h"
#include "device/fast_path_control.h"
#include "device/links.h"
#include "device/wireguard/handshake.h"

enum {
	NS_PER_S = 1000000000,
	LONGEST_WAIT_MS = 3600 * 1000,
	/* What is shorter the keys that are there bridge, and the other side has hardly noticed. */
	SLEPT_MIN_MS = KEEPALIVE_TIMEOUT_MS,
};

/* Of this thread. */
static uint64_t cpu_ns(void)
{
	struct timespec spent;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
	return (uint64_t)spent.tv_sec * NS_PER_S + (uint64_t)spent.tv_nsec;
}

static uint32_t count_handshakes(const struct device *device)
{
	uint32_t count = 0;

	for (unsigned int i = 0; i < device->n_workers; i++)
		count += handoff_count(&device->workers[i].receiver.handoff);
	return count;
}

static void receive_handshakes(struct device *device)
{
	uint64_t now = clock_now_ms(&boot_clock), began;
	uint32_t waiting = count_handshakes(device);
	bool under_load;

	if (waiting == 0)
		return;
	under_load = handshake_load_is_high(&device->load, waiting, now);
	began = cpu_ns();
	for (unsigned int i = 0; i < device->n_workers; i++) {
		struct handoff *handoff = &device->workers[i].receiver.handoff;
		const struct handoff_message *message;

		for (int n = 0; n < HANDOFF_PLACES && (message = handoff_peek(handoff)); n++) {
			handshake_receive(&device->shared.wireguard, message->data, message->length,
				&message->source, under_load);
			handoff_done(handoff);
		}
	}
	handshake_load_add(&device->load, cpu_ns() - began, now);
}

/* After a suspension the other side may have given us up, and what is on the way may have forgotten
 * us. */
static void resume(struct device *device)
{
	uint64_t slept = sleep_watch_read(&device->sleep);

	if (slept < SLEPT_MIN_MS)
		return;
	log_info("%s: the host was suspended for %llu s: handshakes begin anew",
		device->shared.tun.name, (unsigned long long)slept / 1000);
	control_resume(&device->shared.wireguard);
}

bool control_loop_run(struct device *device)
{
	uint64_t events;

	if (read(device->shared.wake, &events, sizeof events) < 0) {
		/* a deadline woke us */
	}
	resume(device);
	receive_handshakes(device);
	links_run(device);
	control_run(&device->shared.wireguard);
	fast_path_control_run(device);
	aead_batch_forget(device->transmitter.aead);
	for (unsigned int i = 0; i < device->n_workers; i++)
		if (atomic_load(&device->workers[i].ended))
			return false;
	return true;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

int control_loop_timeout_ms(const struct device *device)
{
	uint64_t now = clock_now_ms(&boot_clock);
	uint64_t deadline = control_deadline(&device->shared.wireguard);

	if (count_handshakes(device) > 0)
		return 0;
	deadline = earlier(deadline, fast_path_control_deadline(device));
	deadline = earlier(deadline, links_deadline(device));
	if (deadline == UINT64_MAX)
		return -1;
	if (deadline <= now)
		return 0;
	return deadline - now > LONGEST_WAIT_MS ? LONGEST_WAIT_MS : (int)(deadline - now);
}
