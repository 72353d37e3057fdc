/* The control socket's get operations (uapi.h). The control thread's. */
#pragma once

#include "base/secret_text.h"
#include "device/device.h"

/* The answers, all but the final errno line, are appended. */
void uapi_get(struct device *device, struct secret_text *out);
void uapi_get_ipip(struct device *device, struct secret_text *out);
/* When a handshake that is begun now would say that it was, and the latest. */
void uapi_get_timestamp(const struct device *device, struct secret_text *out);
void uapi_get_drops(struct device *device, struct secret_text *out);
void uapi_get_peer(const struct wg_peer *peer, struct secret_text *out);
void uapi_get_ipip_peer(
	const struct device *device, const struct ipip_peer *peer, struct secret_text *out);
