/* Reads all peers of a device in one go. Runs in the broker, when it begins to serve a device or
 * ends that, and in `vprox check`. */
#include "plane/plane.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

/* Until there is a piece. Returns 0 or a negative errno. */
static int await(const struct plane_reading *reading, uint64_t end_ms)
{
	struct pollfd polled = {.fd = reading->fd, .events = POLLIN};
	uint64_t now = clock_now_ms(&system_clock);
	uint64_t until = now + PLANE_SILENCE_MS < end_ms ? now + PLANE_SILENCE_MS : end_ms;
	int n;

	if (reading->fd < 0)
		return 0;
	do {
		now = clock_now_ms(&system_clock);
		n = poll(&polled, 1, now < until ? (int)(until - now) : 0);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n == 0 ? -ETIMEDOUT : 0;
}

int plane_dump(struct plane_device *device, plane_peer_fn *found, void *context)
{
	const uint64_t end_ms = clock_now_ms(&system_clock) + PLANE_DUMP_MS;
	struct plane *plane = device->plane;
	struct plane_reading *reading;
	int result = plane->ops->read(device, found, context, &reading);

	if (result < 0)
		return result;
	do {
		result = await(reading, end_ms);
		if (result < 0)
			snprintf(plane->error, sizeof plane->error, "read peers: %s",
				strerror(-result));
		else
			result = reading->next(reading);
	} while (result > 0);
	reading->end(reading);
	return result;
}
