/* The control socket's get operations (uapi.h). The control thread's. */
#pragma once

#include "base/secret_text.h"
#include "device/device.h"

/* The answers, all but the final errno line, are appended. */

/* What is told before the peers. */
void uapi_get(const struct device *device, struct secret_text *out);
void uapi_get_ipip(const struct device *device, struct secret_text *out);
/* As many of the peers of a kind as are told at a time. Returns whether there may be more. */
bool uapi_get_peers(const struct device *device, enum target_kind kind, struct peer_cursor *cursor,
	struct secret_text *out);
/* When a handshake that is begun now would say that it was, and the latest. */
void uapi_get_timestamp(const struct device *device, struct secret_text *out);
void uapi_get_drops(struct device *device, struct secret_text *out);
void uapi_get_peer(const struct wg_peer *peer, struct secret_text *out);
void uapi_get_ipip_peer(
	const struct device *device, const struct ipip_peer *peer, struct secret_text *out);
