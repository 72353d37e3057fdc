/*
 * Whether the control thread is under load (paper, 5.3): more handshake messages wait than can soon
 * be dealt with, or they take more than their share of a processor, which the tunnels need. Who
 * sends then has to prove first, by a cookie, that it receives at its source address.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	HANDSHAKE_LOAD_WAITING = 256, /* messages: with more, it is load */
	HANDSHAKE_LOAD_SHARE = 4, /* one part in so many of a processor's time is for handshakes */
	HANDSHAKE_LOAD_BURST_MS =
		500, /* that may be taken at once: 2,000 clients that all come back */
	HANDSHAKE_LOAD_LINGER_MS = 1000, /* once there is load, there is for so long */
};

/* Zeroed: there is none. */
struct handshake_load {
	uint64_t debt_ns; /* time taken, beyond what the share has paid since */
	uint64_t paid_ms; /* until when */
	uint64_t until_ms; /* there is load */
};

/* So much time was spent on handshake messages. */
void handshake_load_add(struct handshake_load *load, uint64_t spent_ns, uint64_t now_ms);

/* waiting: messages in the queue. */
bool handshake_load_is_high(struct handshake_load *load, uint32_t waiting, uint64_t now_ms);
