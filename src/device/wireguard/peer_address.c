#include "device/wireguard/peer_address.h"

#include <string.h>

struct words {
	uint64_t word[WHEREABOUTS_WORDS];
};

static struct words to_words(const struct endpoint *endpoint)
{
	struct words words = {0};

	memcpy(&words, endpoint, sizeof *endpoint);
	return words;
}

static struct words read_words(const struct whereabouts *where)
{
	struct words words;
	uint32_t before, after;

	do {
		before = atomic_load_explicit(&where->sequence, memory_order_acquire);
		for (int i = 0; i < WHEREABOUTS_WORDS; i++)
			words.word[i] =
				atomic_load_explicit(&where->words[i], memory_order_relaxed);
		atomic_thread_fence(memory_order_acquire);
		after = atomic_load_explicit(&where->sequence, memory_order_relaxed);
	} while (before % 2 != 0 || before != after);
	return words;
}

void whereabouts_get(const struct whereabouts *where, struct endpoint *endpoint)
{
	struct words words = read_words(where);

	memcpy(endpoint, &words, sizeof *endpoint);
}

void whereabouts_set(struct whereabouts *where, const struct endpoint *endpoint)
{
	struct words words = to_words(endpoint);
	uint32_t sequence = atomic_load_explicit(&where->sequence, memory_order_relaxed);

	if (sequence % 2 != 0 ||
		!atomic_compare_exchange_strong_explicit(&where->sequence, &sequence, sequence + 1,
			memory_order_acquire, memory_order_relaxed))
		return;
	atomic_thread_fence(memory_order_release);
	for (int i = 0; i < WHEREABOUTS_WORDS; i++)
		atomic_store_explicit(&where->words[i], words.word[i], memory_order_relaxed);
	atomic_store_explicit(&where->sequence, sequence + 2, memory_order_release);
	atomic_store_explicit(&where->plain, false, memory_order_relaxed);
}

bool whereabouts_is(const struct whereabouts *where, const struct endpoint *endpoint)
{
	struct words a = read_words(where), b = to_words(endpoint);

	return memcmp(&a, &b, sizeof a) == 0;
}
