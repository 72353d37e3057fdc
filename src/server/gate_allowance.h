/* How much of the broker's time one gate gets: requests a second, and requests that are not
 * answered yet. Both are more than a gate ever asks for that keeps to the rules. */
#pragma once

#include <stdint.h>

enum {
	/* One core does 1,200 TLS handshakes a second where this was measured, and a gate has one.
	 */
	GATE_REQUESTS_PER_SECOND = 5000,
	GATE_REQUESTS_BURST = 500,
};

struct gate_allowance {
	uint64_t filled_ms; /* when requests were last added */
	unsigned int left; /* requests that may come at once */
	unsigned int unanswered;
};

/* What a new gate has. */
struct gate_allowance gate_allowance_full(uint64_t now_ms);

/* How long until a message may be read; 0: at once. */
unsigned int gate_allowance_wait_ms(struct gate_allowance *allowance, uint64_t now_ms);

/* A message is read. */
void gate_allowance_spend(struct gate_allowance *allowance);

/* It is a request. Returns 0, or -EDQUOT if IPC_OUTSTANDING_MAX wait for their answers already. */
int gate_allowance_ask(struct gate_allowance *allowance);
/* A request is answered. */
void gate_allowance_answer(struct gate_allowance *allowance);
