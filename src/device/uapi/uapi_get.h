/* The control socket's get operations (uapi.h). The control thread's. */
#pragma once

#include <stddef.h>

#include "device/device.h"

/* The answers, all but the final errno line, in memory that the caller frees. NULL: no memory. */
char *uapi_get(struct device *device, size_t *length);
char *uapi_get_ipip(struct device *device, size_t *length);
char *uapi_get_drops(struct device *device, size_t *length);
char *uapi_get_peer(const struct wg_peer *peer, size_t *length);
char *uapi_get_ipip_peer(const struct device *device, const struct ipip_peer *peer, size_t *length);
