/* Handshake messages on their way from a worker to the control thread: a ring with one writer and
 * one reader. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cache_line.h"
#include "device/io/udp_endpoint.h"
#include "device/wireguard/messages.h"

enum {
	HANDOFF_PLACES = 512, /* a power of two */
};

struct handoff_message {
	struct udp_endpoint source;
	uint32_t length;
	uint8_t data[sizeof(struct message_initiation)]; /* the longest there is */
};

struct handoff {
	_Alignas(CACHE_LINE) _Atomic uint32_t written;
	_Alignas(CACHE_LINE) _Atomic uint32_t read;
	struct handoff_message messages[HANDOFF_PLACES];
};

/* False if it is full. *wake is set if the reader may be asleep. */
bool handoff_write(struct handoff *handoff, const struct udp_endpoint *source, const uint8_t *data,
	size_t length, bool *wake);

/* How many wait. */
uint32_t handoff_count(const struct handoff *handoff);

/* One of those that wait, from 0, the oldest, on. */
const struct handoff_message *handoff_look(const struct handoff *handoff, uint32_t number);
/* The oldest, until handoff_done(); NULL: none. */
const struct handoff_message *handoff_peek(const struct handoff *handoff);
void handoff_done(struct handoff *handoff);
