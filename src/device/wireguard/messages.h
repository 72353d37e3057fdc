/*
 * The four messages of WireGuard as they lie on the wire (paper, 5.4.2 to 5.4.7), and the limits of
 * its section 6.1. Integers on the wire are little-endian. All structs have alignment 1, so a
 * pointer into a datagram can be cast to them after messages_type() has checked its length.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endian.h"
#include "device/crypto/aead.h"
#include "device/crypto/blake2s.h"

enum {
	MESSAGE_INITIATION = 1,
	MESSAGE_RESPONSE = 2,
	MESSAGE_COOKIE = 3,
	MESSAGE_TRANSPORT = 4,
};

enum {
	TIMESTAMP_SIZE = 12, /* TAI64N */
	TRANSPORT_PADDING = 16, /* the plaintext is padded with zeros to a multiple of it: 5.4.6 */
};

/* 5.4.4: every handshake message ends in these. */
struct message_macs {
	uint8_t mac1[BLAKE2S_MAC_SIZE];
	uint8_t mac2[BLAKE2S_MAC_SIZE];
};

/* 5.4.2 */
struct message_initiation {
	uint8_t type;
	uint8_t reserved[3];
	struct le32 sender;
	uint8_t ephemeral[32];
	uint8_t sealed_static[32 + AEAD_TAG_SIZE];
	uint8_t sealed_timestamp[TIMESTAMP_SIZE + AEAD_TAG_SIZE];
	struct message_macs macs;
};

/* 5.4.3 */
struct message_response {
	uint8_t type;
	uint8_t reserved[3];
	struct le32 sender;
	struct le32 receiver;
	uint8_t ephemeral[32];
	uint8_t sealed_nothing[AEAD_TAG_SIZE];
	struct message_macs macs;
};

/* 5.4.7 */
struct message_cookie {
	uint8_t type;
	uint8_t reserved[3];
	struct le32 receiver;
	uint8_t nonce[AEAD_XNONCE_SIZE];
	uint8_t sealed_cookie[BLAKE2S_MAC_SIZE + AEAD_TAG_SIZE];
};

/* 5.4.6: the sealed packet follows, tag last. A keepalive seals nothing. */
struct message_transport {
	uint8_t type;
	uint8_t reserved[3];
	struct le32 receiver;
	struct le64 counter;
};

enum {
	TRANSPORT_MIN_SIZE = sizeof(struct message_transport) + AEAD_TAG_SIZE, /* a keepalive */
};

_Static_assert(sizeof(struct message_initiation) == 148, "paper, 5.4.2");
_Static_assert(sizeof(struct message_response) == 92, "paper, 5.4.3");
_Static_assert(sizeof(struct message_cookie) == 64, "paper, 5.4.7");
_Static_assert(sizeof(struct message_transport) == 16, "paper, 5.4.6");

/* Section 6.1. Messages are counted a key, times are in ms. */
#define REKEY_AFTER_MESSAGES (UINT64_C(1) << 60)
#define REJECT_AFTER_MESSAGES (UINT64_MAX - (UINT64_C(1) << 13))
enum {
	REKEY_AFTER_TIME_MS = 120 * 1000,
	REJECT_AFTER_TIME_MS = 180 * 1000,
	REKEY_ATTEMPT_TIME_MS = 90 * 1000,
	REKEY_TIMEOUT_MS = 5 * 1000,
	REKEY_TIMEOUT_JITTER_MS = 333,
	KEEPALIVE_TIMEOUT_MS = 10 * 1000,
};

/*
 * The type of a datagram whose type, reserved zeros and length are those of a message: MESSAGE_*;
 * 0 if it is none and must be dropped. Nothing else in it has been checked.
 */
int messages_type(const uint8_t *datagram, size_t length);

/* The length of a packet once padded, which must not exceed the tunnel's MTU: 5.4.6. */
static inline size_t messages_padded(size_t length, size_t mtu)
{
	size_t padded = (length + TRANSPORT_PADDING - 1) & ~(size_t)(TRANSPORT_PADDING - 1);

	return padded > mtu && length <= mtu ? mtu : padded;
}
