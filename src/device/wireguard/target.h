/* What an inner address leads to: a peer of either kind, in the one table of inner addresses. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "device/wireguard/allowedips.h"

enum target_kind {
	TARGET_WIREGUARD, /* a struct wg_peer */
	TARGET_IPIP, /* a struct ipip_peer */
};

/* The first member of each of the two. */
struct target {
	struct allowedips_owner inner; /* its prefixes. First: see target_of() */
	enum target_kind kind;
	struct target *next, *previous; /* all of a device's, in the order they were made */
	/* Bytes as WireGuard counts them: whole UDP payloads, of authentic messages. IPIP: inner
	 * packets. */
	_Atomic uint64_t received, sent;
};

static inline struct target *target_of(struct allowedips_owner *owner)
{
	return (struct target *)(void *)owner;
}
