/*
 * What the kernel refuses of that which saves work: the other way is taken then, which always
 * works. It is said once a device, and after a while the better way is tried again.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum refusal {
	REFUSAL_UDP_SEGMENT, /* many packets with one send (udp(7)), to a peer */
	REFUSAL_TUN_JOINED, /* a write of joined packets, or of one without its checksum */
	REFUSAL_RECVMMSG,
	REFUSAL_SENDMMSG,
	REFUSAL_KINDS,
};

/* Of a device; any thread. */
struct refusals {
	const char *name; /* the interface's */
	_Atomic bool said[REFUSAL_KINDS];
};

void refusal_say(struct refusals *refusals, enum refusal kind);

/* So many packets, or calls, go the other way before the better one is tried again. */
enum { REFUSAL_LASTS = 100000 };

/* What is left of them after n more. */
static inline uint32_t refusal_pass(uint32_t left, uint32_t n)
{
	return left > n ? left - n : 0;
}
