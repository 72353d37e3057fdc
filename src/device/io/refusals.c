/* Says what the kernel has refused. Runs in every worker and in the control thread. */
#include "device/io/refusals.h"

#include "base/log.h"

static const struct {
	enum log_level level;
	const char *text;
} lines[REFUSAL_KINDS] = {
	[REFUSAL_UDP_SEGMENT] = {LOG_LEVEL_INFO,
		"the way to a peer refuses UDP segmentation offload: its packets are sent one by "
		"one"},
	[REFUSAL_TUN_JOINED] = {LOG_LEVEL_WARNING,
		"the TUN refuses joined packets: they are written one by one"},
	[REFUSAL_RECVMMSG] = {LOG_LEVEL_WARNING,
		"the kernel has no recvmmsg: packets are received one by one"},
	[REFUSAL_SENDMMSG] = {LOG_LEVEL_WARNING,
		"the kernel has no sendmmsg: packets are sent one by one"},
};

void refusal_say(struct refusals *refusals, enum refusal kind)
{
	if (!atomic_exchange_explicit(&refusals->said[kind], true, memory_order_relaxed))
		log_line(lines[kind].level, "%s: %s", refusals->name, lines[kind].text);
}
