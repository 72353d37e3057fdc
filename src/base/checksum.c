/* Sums over packets, as fast as the processor can. Used by the device's workers, and by the client
 * for its echoes. */
#include "base/checksum.h"

#include <string.h>

/* The loop is simple so that the compiler can use the widest registers there are. */
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && defined(__GNUC__) &&                  \
	!defined(__clang__)
#define WIDEST_REGISTERS                                                                           \
	__attribute__((target_clones("arch=x86-64-v4", "avx2", "default"), optimize("O3")))
#else
#define WIDEST_REGISTERS
#endif

WIDEST_REGISTERS static uint64_t add_words(uint64_t sum, const uint8_t *data, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t word;

		memcpy(&word, data + i * sizeof word, sizeof word);
		sum += word;
	}
	return sum;
}

uint64_t checksum_add(uint64_t sum, const void *data, size_t length)
{
	const uint8_t *bytes = data;
	size_t n = length / sizeof(uint32_t);
	uint32_t rest = 0;

	sum = add_words(sum, bytes, n);
	memcpy(&rest, bytes + n * sizeof rest, length % sizeof rest);
	return sum + rest;
}
