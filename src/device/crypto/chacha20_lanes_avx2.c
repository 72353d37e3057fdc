/* ChaCha20 in lanes, with AVX2. Run by whoever seals or opens. */
#include "device/crypto/chacha20_lanes_avx2.h"

#ifdef __x86_64__

#include <immintrin.h>

typedef uint8_t byte_lanes __attribute__((vector_size(4 * CHACHA20_LANES)));

/* By whole bytes a word is turned faster by a shuffle, which each half of the vector does. */
#define TURNED_WORD(at, n)                                                                         \
	(at) + (4 - (n)) % 4, (at) + (5 - (n)) % 4, (at) + (6 - (n)) % 4, (at) + (7 - (n)) % 4
#define TURNED_HALF(at, n)                                                                         \
	TURNED_WORD(at, n), TURNED_WORD((at) + 4, n), TURNED_WORD((at) + 8, n),                    \
		TURNED_WORD((at) + 12, n)
#define TURN_BYTES(x, n)                                                                           \
	(word_lanes) __builtin_shufflevector(                                                      \
		(byte_lanes)(x), (byte_lanes)(x), TURNED_HALF(0, n), TURNED_HALF(16, n))
#define ROTATE_LEFT(x, n)                                                                          \
	((n) == 16         ? TURN_BYTES(x, 2)                                                      \
		: (n) == 8 ? TURN_BYTES(x, 1)                                                      \
			   : ((x) << (n) | (x) >> (32 - (n))))
#define TARGET __attribute__((target("avx2")))
#define LANES CHACHA20_LANES
#include "device/crypto/chacha20_lanes_body.h"
#include "device/crypto/chacha20_turn_avx2.h"

TARGET void chacha20_lanes_avx2(const uint8_t key[CHACHA20_KEY], const struct chacha20_lanes *lanes,
	uint8_t out[CHACHA20_LANES][CHACHA20_BLOCK])
{
	word_lanes s[WORDS];
	__m256i *halves = (__m256i *)s;

	lanes_make_words(s, key, lanes);
	turn8(halves);
	turn8(halves + WORDS / 2);
	for (int i = 0; i < LANES; i++) {
		memcpy(out[i], &halves[i], CHACHA20_BLOCK / 2);
		memcpy(out[i] + CHACHA20_BLOCK / 2, &halves[LANES + i], CHACHA20_BLOCK / 2);
	}
}

#endif
