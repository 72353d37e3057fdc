/* Makes room for fragments of IPv4 packets in the kernel. Runs in the broker, at its start. */
#include "host/fragments.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/sysctl.h"

enum {
	DEFAULT_MEMORY = 4 << 20, /* net/ipv4/ip_fragment.c */
	DEFAULT_SECONDS = 30,
	SHARE_OF_MEMORY = 32,
};

static void change(const char *folder, const char *name, int from, int to)
{
	char path[PATH_MAX];
	int value, error;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	error = sysctl_read(path, &value);
	if (error < 0 || value == to)
		return;
	if (value != from) {
		log_info("%s is %d, which somebody has chosen: it stays", name, value);
		return;
	}
	error = sysctl_write(path, to);
	if (error < 0)
		log_warning("cannot change net/ipv4/%s from %d to %d: %s", name, from, to,
			strerror(-error));
	else
		log_info("changed net/ipv4/%s from %d to %d", name, from, to);
}

void fragments_make_room(const char *folder, uint64_t memory)
{
	const uint64_t affordable = memory / SHARE_OF_MEMORY;

	if (!folder)
		folder = "/proc/sys/net/ipv4";
	if (affordable > DEFAULT_MEMORY)
		change(folder, "ipfrag_high_thresh", DEFAULT_MEMORY,
			affordable < FRAGMENTS_MEMORY ? (int)affordable : FRAGMENTS_MEMORY);
	change(folder, "ipfrag_time", DEFAULT_SECONDS, FRAGMENTS_SECONDS);
}
