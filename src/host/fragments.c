/* Makes room for fragments of IPv4 packets in the kernel. Runs in the broker, at its start. */
#include "host/fragments.h"

#include "host/setting.h"

enum {
	DEFAULT_MEMORY = 4 << 20, /* net/ipv4/ip_fragment.c */
	DEFAULT_SECONDS = 30,
	SHARE_OF_MEMORY = 32,
};

static void change(const char *folder, const char *name, int from, int to)
{
	struct setting setting;

	if (setting_read(folder, "net/ipv4", name, &setting) < 0 || setting.value == to)
		return;
	if (setting.value == from)
		setting_change(&setting, to);
	else
		setting_leave(&setting);
}

void fragments_make_room(const char *folder, uint64_t memory)
{
	const uint64_t affordable = memory / SHARE_OF_MEMORY;

	if (affordable > DEFAULT_MEMORY)
		change(folder, "ipfrag_high_thresh", DEFAULT_MEMORY,
			affordable < FRAGMENTS_MEMORY ? (int)affordable : FRAGMENTS_MEMORY);
	change(folder, "ipfrag_time", DEFAULT_SECONDS, FRAGMENTS_SECONDS);
}
