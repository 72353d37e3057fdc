/*
 * Wipes a secret of a known, small size without a call, as explicit_bzero(3) is one: for what is
 * done with each message. All else uses that.
 */
#pragma once

#include <string.h>

static inline __attribute__((always_inline)) void wipe(void *secret, size_t size)
{
	memset(secret, 0, size);
	/* for all the compiler knows, somebody reads it from here on */
	__asm__ volatile("" : : "r"(secret) : "memory");
}
