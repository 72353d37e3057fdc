/* Which packets pass a tunnel whole, both ways: found out by sending them. */
#pragma once

#include <stdint.h>

#include "base/ipv4.h"

/*
 * *largest: the largest packet of up to mtu bytes that the gateway has answered, sent with DF and
 * without regard to what is known of the path; 0: it answers none. Takes up to 2 s if the full one
 * passes, and 20 s more if it does not. Returns 0 or -errno.
 */
int full_packet_find(const char *interface, struct ipv4 gateway, uint32_t mtu, uint32_t *largest);
