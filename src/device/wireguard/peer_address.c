/* A peer's outer address, read and written by any thread without a lock. */
#include "device/wireguard/peer_address.h"

#include <sched.h>
#include <string.h>

struct words {
	uint64_t word[PEER_ADDRESS_WORDS];
};

static struct words to_words(const struct udp_endpoint *endpoint)
{
	struct words words = {0};

	memcpy(&words, endpoint, sizeof *endpoint);
	return words;
}

static struct words load_words(const struct peer_address *address)
{
	struct words words;

	for (int i = 0; i < PEER_ADDRESS_WORDS; i++)
		words.word[i] = atomic_load_explicit(&address->words[i], memory_order_relaxed);
	return words;
}

static struct words read_words(const struct peer_address *address, uint32_t *version)
{
	struct words words;
	uint32_t before, after;

	do {
		before = atomic_load_explicit(&address->sequence, memory_order_acquire);
		words = load_words(address);
		atomic_thread_fence(memory_order_acquire);
		after = atomic_load_explicit(&address->sequence, memory_order_relaxed);
	} while (before % 2 != 0 || before != after);
	*version = before;
	return words;
}

uint32_t peer_address_get(const struct peer_address *address, struct udp_endpoint *endpoint)
{
	uint32_t version;
	struct words words = read_words(address, &version);

	memcpy(endpoint, &words, sizeof *endpoint);
	return version;
}

/* Whether it is now ours to write. */
static bool try_lock(struct peer_address *address)
{
	uint32_t sequence = atomic_load_explicit(&address->sequence, memory_order_relaxed);

	if (sequence % 2 != 0 ||
		!atomic_compare_exchange_strong_explicit(&address->sequence, &sequence,
			sequence + 1, memory_order_acquire, memory_order_relaxed))
		return false;
	atomic_thread_fence(memory_order_release);
	return true;
}

static void unlock(struct peer_address *address)
{
	atomic_fetch_add_explicit(&address->sequence, 1, memory_order_release);
}

static void write_words(struct peer_address *address, const struct words *words)
{
	for (int i = 0; i < PEER_ADDRESS_WORDS; i++)
		atomic_store_explicit(&address->words[i], words->word[i], memory_order_relaxed);
	atomic_store_explicit(&address->plain_left, 0, memory_order_relaxed);
}

/* Who writes may have been taken off its core. */
static void lock(struct peer_address *address)
{
	while (!try_lock(address))
		sched_yield();
}

void peer_address_set(struct peer_address *address, const struct udp_endpoint *endpoint)
{
	struct words words = to_words(endpoint);

	lock(address);
	write_words(address, &words);
	unlock(address);
}

void peer_address_update(struct peer_address *address, const struct udp_endpoint *endpoint)
{
	uint32_t version;
	struct words known = read_words(address, &version), now = to_words(endpoint);

	if (memcmp(&known, &now, sizeof known) == 0 || !try_lock(address))
		return;
	write_words(address, &now);
	unlock(address);
}

/* What a judgement is about, with room for it in the lowest bit. */
static uint64_t subject(uint32_t version, uint32_t generation)
{
	return (uint64_t)version << 32 | (uint32_t)(generation << 1);
}

enum source_judgement peer_address_judgement(
	const struct peer_address *address, uint32_t version, uint32_t generation)
{
	uint64_t judgement = atomic_load_explicit(&address->judgement, memory_order_relaxed);

	if ((judgement & ~UINT64_C(1)) != subject(version, generation))
		return SOURCE_NOT_JUDGED;
	return judgement & 1 ? SOURCE_KEPT : SOURCE_REFUSED;
}

void peer_address_judge(
	struct peer_address *address, uint32_t version, uint32_t generation, bool keep)
{
	atomic_store_explicit(
		&address->judgement, subject(version, generation) | keep, memory_order_relaxed);
}

/* In one turn: what is configured meanwhile must not be written over by what was read before. */
void peer_address_forget_source(struct peer_address *address)
{
	struct udp_endpoint endpoint;
	struct words words;

	lock(address);
	words = load_words(address);
	memcpy(&endpoint, &words, sizeof endpoint);
	if (udp_endpoint_has_source(&endpoint)) {
		udp_endpoint_forget_source(&endpoint);
		words = to_words(&endpoint);
		write_words(address, &words);
	}
	unlock(address);
}
