/*
 * The kernel's table of tracked connections (nf_conntrack), which this host's own connections and
 * all tunnels share: makes it larger where nobody has chosen its size, and keeps tunnels from
 * filling it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* How full the table is. */
struct tracking_load {
	uint32_t n; /* connections in it */
	uint32_t max; /* 0: not known */
};

struct tracking_watch {
	bool is_closed; /* no new connections out of tunnels */
	unsigned int since; /* calls, since it was last told so to the firewall */
};

/* Returns 0 or -errno: -ENOENT without connection tracking. */
int tracking_read(struct tracking_load *load);

/* Whether new connections out of tunnels are to be refused: from three quarters of the table on,
 * and until it is less than five eighths full. */
bool tracking_is_full(const struct tracking_load *load, bool was_full);

/*
 * To be called every second, once the firewall is loaded: reads the table, and has the firewall
 * refuse new connections out of tunnels while it is nearly full. Logs when that begins and ends.
 */
void tracking_watch(struct tracking_watch *watch);

/*
 * Makes the table large enough for so many inner addresses, where its size is the kernel's default
 * and this is the network namespace that may change it, and as far as a share of the machine's
 * memory goes. Logs what it changes, or why it does not. folder: with the sysctls in it, for a
 * test; NULL for /proc/sys/net/netfilter.
 */
void tracking_make_room(const char *folder, uint64_t n_addresses, uint64_t memory);

/*
 * For a host that gets addresses with their connections from another one: warns where TCP packets
 * outside of the window that was seen last are not taken (nf_conntrack_tcp_be_liberal), since the
 * other host has told of a connection, but not of its latest packets.
 */
void tracking_check_liberal(void);
