/*
 * Which tag is made beside which message: to seal, that of the message before; to open, the
 * message's own. Run by whoever seals or opens many messages.
 */
#include "device/crypto/aead_beside_avx2.h"

#ifdef __x86_64__

#include <string.h>

#include "device/crypto/aead_tag.h"
#include "device/crypto/chacha20_poly1305_avx2.h"
#include "device/crypto/wipe.h"

static struct poly1305_beside begin_beside(const struct poly1305_lane *lane)
{
	struct poly1305_beside beside = {.data = lane->data, .n_blocks = lane->n_data};

	poly1305_begin(&beside.poly, lane->key);
	return beside;
}

/* What there was no time for beside, and the end. */
static void end_beside(struct poly1305_beside *beside, struct poly1305_lane *lane)
{
	poly1305_add(&beside->poly, beside->data, beside->n_blocks);
	poly1305_add(&beside->poly, lane->end, lane->n_end);
	poly1305_end(&beside->poly, lane->tag);
}

void aead_cipher_beside_avx2(const struct aead_key *key, uint64_t counter, const uint8_t *in,
	size_t n, uint8_t *out, uint8_t one_time_key[POLY1305_KEY], struct poly1305_lane *other)
{
	struct poly1305_beside beside = {0};

	if (other)
		beside = begin_beside(other);
	chacha20_poly1305_avx2(
		key->bytes, counter, in, chacha20_blocks(n), out, one_time_key, &beside);
	if (other)
		end_beside(&beside, other);
}

/* Deciphered elsewhere while its own tag is made; it is copied when that holds. */
bool aead_open_beside_avx2(const struct aead_key *key, uint64_t counter, uint8_t *data, size_t n,
	const uint8_t one_time_key[POLY1305_KEY], uint8_t *work)
{
	struct poly1305_beside beside;
	struct poly1305_lane lane;
	bool authentic;

	aead_tag_lane(&lane, one_time_key, data, n);
	beside = begin_beside(&lane);
	chacha20_poly1305_avx2(key->bytes, counter, data, chacha20_blocks(n), work, NULL, &beside);
	end_beside(&beside, &lane);
	authentic = aead_tag_same(lane.tag, data + n);
	if (authentic)
		memcpy(data, work, n);
	wipe(lane.key, sizeof lane.key);
	return authentic;
}

#endif
