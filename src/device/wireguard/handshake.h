/* Handshake messages, out and in. The control thread's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/wireguard/wireguard.h"

/* Begins a handshake if none is under way and it is not too soon for one. */
void handshake_begin(struct wireguard *wg, struct wg_peer *peer);
/* Sends an initiation now. */
void handshake_initiate(struct wireguard *wg, struct wg_peer *peer);
/* Sends a keepalive; without a key, begins a handshake. */
void handshake_keepalive(struct wireguard *wg, struct wg_peer *peer);
/* The other side uses a session that we have made as the responder. */
void handshake_confirm(struct wireguard *wg, struct wg_peer *peer);

/*
 * A handshake message (initiation, response, cookie reply) from a socket, which
 * mac1_filter_passes() has let through. under_load: as handshake_load.h says.
 */
void handshake_receive(struct wireguard *wg, const uint8_t *datagram, size_t length,
	const struct udp_endpoint *source, bool under_load);
