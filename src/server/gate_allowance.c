/* A gate's token bucket, and its count of open requests. Runs in the broker. */
#include "server/gate_allowance.h"

#include <errno.h>

#include "ipc/message.h"

enum {
	MS_PER_SECOND = 1000,
	/* That many come back together: a timer cannot be finer than a millisecond. */
	REFILL_MS = 20,
	REFILL = GATE_REQUESTS_PER_SECOND * REFILL_MS / MS_PER_SECOND,
};

struct gate_allowance gate_allowance_full(uint64_t now_ms)
{
	return (struct gate_allowance){.filled_ms = now_ms, .left = GATE_REQUESTS_BURST};
}

static void refill(struct gate_allowance *allowance, uint64_t now_ms)
{
	uint64_t n = (now_ms - allowance->filled_ms) / REFILL_MS;

	allowance->filled_ms += n * REFILL_MS;
	if (n * REFILL >= GATE_REQUESTS_BURST - allowance->left)
		allowance->left = GATE_REQUESTS_BURST;
	else
		allowance->left += (unsigned int)n * REFILL;
}

unsigned int gate_allowance_wait_ms(struct gate_allowance *allowance, uint64_t now_ms)
{
	refill(allowance, now_ms);
	if (allowance->left > 0)
		return 0;
	return REFILL_MS - (unsigned int)(now_ms - allowance->filled_ms);
}

void gate_allowance_spend(struct gate_allowance *allowance)
{
	if (allowance->left > 0)
		allowance->left--;
}

int gate_allowance_ask(struct gate_allowance *allowance)
{
	if (allowance->unanswered >= IPC_OUTSTANDING_MAX)
		return -EDQUOT;
	allowance->unanswered++;
	return 0;
}

void gate_allowance_answer(struct gate_allowance *allowance)
{
	if (allowance->unanswered > 0)
		allowance->unanswered--;
}
