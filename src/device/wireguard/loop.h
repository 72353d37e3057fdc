/* Tells a packet that goes into a tunnel from one that has just come out of it, sealed: where a
 * route to the peer's outer address leads into the tunnel itself, it would go round for ever. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "device/io/packet.h"

/*
 * Whether data, which packet was parsed from, begins with a transport message for this index of the
 * peer's (host byte order): one that was sealed with the same key, whole or the first of a
 * super-packet or of fragments. Later fragments cannot be told; sealed, they are whole messages.
 */
bool loop_is_own_message(const uint8_t *data, const struct packet *packet, uint32_t remote_index);
