/* Curve25519 keys as WireGuard uses them: 32 bytes, written as 44 characters of base64. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	KEY_SIZE = 32,
	KEY_TEXT_SIZE = 45, /* base64 and the final NUL */
};

struct key {
	uint8_t bytes[KEY_SIZE];
};

struct key_text {
	char s[KEY_TEXT_SIZE];
};

/*
 * Parses base64 as Go's encoding/base64.StdEncoding does: padding is needed, CR and LF are skipped
 * anywhere, left-over bits of the last digit may be set. Returns 0, or -EINVAL if it is not the
 * base64 of 32 bytes.
 */
int key_parse(const char *text, size_t length, struct key *key);
struct key_text key_text(const struct key *key);

/* In constant time. */
bool key_equal(const struct key *a, const struct key *b);
bool key_is_zero(const struct key *key);

/*
 * Whether a public key is one of the few with which every private key makes the same secret, zero
 * (RFC 7748, sections 6.1 and 7): the all-zero key is among them. No handshake with it can end.
 */
bool key_is_low_order(const struct key *key);

/* Returns 0, or -EIO if there is no randomness or the library fails. */
int key_generate_private(struct key *key);
/* Sets the bits of a private key that are not free (RFC 7748, section 5). It stays the same key. */
void key_clamp(struct key *key);
/* RFC 7748, section 6.1. Returns 0 or -EIO. */
int key_derive_public(const struct key *private_key, struct key *public_key);

/* A cleanup helper: overwrites the key. */
void key_wipe(struct key *key);
