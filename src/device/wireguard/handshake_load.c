/* How much of a processor handshakes take. Runs in the control thread. */
#include "device/wireguard/handshake_load.h"

enum { NS_PER_MS = 1000000 };

static void pay(struct handshake_load *load, uint64_t now_ms)
{
	uint64_t paid = (now_ms - load->paid_ms) * NS_PER_MS / HANDSHAKE_LOAD_SHARE;

	load->debt_ns -= paid < load->debt_ns ? paid : load->debt_ns;
	load->paid_ms = now_ms;
}

void handshake_load_add(struct handshake_load *load, uint64_t spent_ns, uint64_t now_ms)
{
	pay(load, now_ms);
	load->debt_ns += spent_ns;
}

bool handshake_load_is_high(struct handshake_load *load, uint32_t waiting, uint64_t now_ms)
{
	pay(load, now_ms);
	if (waiting > HANDSHAKE_LOAD_WAITING ||
		load->debt_ns > (uint64_t)HANDSHAKE_LOAD_BURST_MS * NS_PER_MS)
		load->until_ms = now_ms + HANDSHAKE_LOAD_LINGER_MS;
	return now_ms < load->until_ms;
}
