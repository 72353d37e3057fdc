/* ChaCha20 in lanes, for any processor. Run by whoever seals or opens. */
#include "device/crypto/chacha20_lanes.h"

#define TARGET
#define LANES CHACHA20_LANES_PORTABLE
#include "device/crypto/chacha20_lanes_body.h"

/* From a word of each lane to a block of each lane; wipes the words. */
static void turn(uint32_t words[WORDS][LANES], uint8_t out[CHACHA20_LANES][CHACHA20_BLOCK])
{
	for (int lane = 0; lane < LANES; lane++)
#pragma GCC unroll 16
		for (int i = 0; i < WORDS; i++) {
			struct le32 word = le32_make(words[i][lane]);

			memcpy(out[lane] + 4 * i, word.bytes, sizeof word.bytes);
		}
	explicit_bzero(words, sizeof(uint32_t[WORDS][LANES]));
}

void chacha20_lanes_portable(const uint8_t key[CHACHA20_KEY], const struct chacha20_lanes *lanes,
	uint8_t out[CHACHA20_LANES][CHACHA20_BLOCK])
{
	uint32_t words[WORDS][LANES];
	word_lanes s[WORDS];

	lanes_make_words(s, key, lanes);
	memcpy(words, s, sizeof words);
	turn(words, out);
}
