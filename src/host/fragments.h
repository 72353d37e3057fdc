/* How much memory the kernel has for fragments of IPv4 packets that wait for the others, and for
 * how long they wait (net.ipv4.ipfrag_*, Documentation/networking/ip-sysctl.rst). */
#pragma once

#include <stdint.h>

enum {
	FRAGMENTS_MEMORY = 64 << 20, /* bytes: wanted */
	FRAGMENTS_SECONDS = 2,
};

/*
 * By default 4 MB for 30 s: 1,700 fragments whose others never come are all that there is room for,
 * and the host and its clients get no fragmented packet any more. Where these are the defaults,
 * more memory and less time are set; else, and where that cannot be done, a log line says so.
 * memory: the machine's, in bytes; at most a 32nd of it is used. folder: instead of
 * /proc/sys/net/ipv4, or NULL.
 */
void fragments_make_room(const char *folder, uint64_t memory);
