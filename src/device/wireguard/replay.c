/* The replay window, asked by several workers at once without a lock. */
#include "device/wireguard/replay.h"

#include "device/wireguard/messages.h"

enum { LAP_SHIFT = 32 };

static void raise_greatest(struct replay *replay, uint64_t word, uint64_t greatest)
{
	while (word > greatest &&
		!atomic_compare_exchange_weak_explicit(&replay->greatest, &greatest, word,
			memory_order_relaxed, memory_order_relaxed))
		;
}

bool replay_accept(struct replay *replay, uint64_t counter)
{
	uint64_t number = counter / REPLAY_WORD_BITS;
	uint64_t bit = UINT64_C(1) << (counter % REPLAY_WORD_BITS);
	/* 32 bits of the lap are compared as serial numbers. A lap of 2^31 more is 2^44 packets
	 * later: no honest sender gets there in the life of a key. */
	uint32_t lap = (uint32_t)(number / REPLAY_WORDS);
	_Atomic uint64_t *slot = &replay->words[number % REPLAY_WORDS];
	uint64_t greatest = atomic_load_explicit(&replay->greatest, memory_order_relaxed);
	uint64_t word, fresh;

	if (counter >= REJECT_AFTER_MESSAGES)
		return false;
	if (number < greatest && greatest - number >= REPLAY_WORDS)
		return false;
	word = atomic_load_explicit(slot, memory_order_relaxed);
	do {
		int32_t ahead = (int32_t)(lap - (uint32_t)(word >> LAP_SHIFT));

		if (ahead < 0 || (ahead == 0 && (word & bit)))
			return false;
		fresh = ahead == 0 ? word | bit : (uint64_t)lap << LAP_SHIFT | bit;
	} while (!atomic_compare_exchange_weak_explicit(
		slot, &word, fresh, memory_order_relaxed, memory_order_relaxed));
	if (number > greatest)
		raise_greatest(replay, number, greatest);
	return true;
}

uint32_t replay_save(const struct replay *replay, uint64_t *newest, uint32_t words[REPLAY_WORDS])
{
	uint64_t number = atomic_load_explicit(&replay->greatest, memory_order_relaxed);
	uint32_t n = 0;

	*newest = number;
	for (; n < REPLAY_WORDS && n <= *newest; n++, number--) {
		uint64_t word = atomic_load_explicit(
			&replay->words[number % REPLAY_WORDS], memory_order_relaxed);
		bool passed_over =
			(uint32_t)(word >> LAP_SHIFT) != (uint32_t)(number / REPLAY_WORDS);

		words[n] = passed_over ? 0 : (uint32_t)word;
	}
	return n;
}

void replay_restore(
	struct replay *replay, uint64_t newest, const uint32_t words[REPLAY_WORDS], uint32_t n)
{
	uint64_t number = newest;

	atomic_store_explicit(&replay->greatest, newest, memory_order_relaxed);
	for (uint32_t i = 0; i < REPLAY_WORDS && i <= newest; i++, number--) {
		uint64_t bits = i < n ? words[i] : UINT32_MAX;

		atomic_store_explicit(&replay->words[number % REPLAY_WORDS],
			(number / REPLAY_WORDS) << LAP_SHIFT | bits, memory_order_relaxed);
	}
}
