/* The control socket's set operation (uapi.h), line by line. The control thread's. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>

#include "device/device.h"

struct uapi_set {
	struct device *device;
	enum {
		UAPI_SECTION_DEVICE,
		UAPI_SECTION_PEER,
		UAPI_SECTION_IPIP,
	} section;
	struct wg_peer *peer; /* NULL: its lines are checked, and passed over */
	bool created; /* by this section */
	struct in_addr ipip_remote;
};

/* Carries out one line. Returns 0 or a negative errno: -EINVAL, -EPROTO, or what failed. */
int uapi_set_line(struct uapi_set *set, const char *key, const char *value);
