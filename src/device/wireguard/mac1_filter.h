/*
 * What stands before the control thread. Workers drop handshake messages from who does not know our
 * public key (paper, 5.3: mac1), and answers to what we have not sent: a flood of them takes none
 * of the control thread's time, and no place in the queue to it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/epoch.h"
#include "device/crypto/blake2s.h"
#include "device/wireguard/cookie.h"
#include "device/wireguard/index.h"

struct mac1_filter_keys;

struct mac1_filter {
	_Atomic(struct mac1_filter_keys *) keys; /* NULL: none, nobody can know them */
	const struct index_table *indices;
	struct epoch *epoch;
};

/* Lets nothing through yet. The table and the epoch stay the caller's. */
void mac1_filter_init(
	struct mac1_filter *filter, const struct index_table *indices, struct epoch *epoch);
/* There is no reader left. */
void mac1_filter_free(struct mac1_filter *filter);

/* By the control thread: the keys of our own public key, which are copied. Returns 0, or -ENOMEM:
 * nothing has changed. */
int mac1_filter_set_keys(struct mac1_filter *filter, const struct cookie_keys *keys);

/* By any thread, within its epoch, with a hash of its own. The datagram is of a length that fits
 * its type (messages_type()). */
bool mac1_filter_passes(const struct mac1_filter *filter, struct blake2s *blake2s,
	const uint8_t *datagram, size_t length);
