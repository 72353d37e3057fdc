/*
 * The replay window (paper, 5.4.6; RFC 6479): each counter is accepted once at the most, and
 * counters that have fallen more than a window behind the greatest are not accepted at all.
 *
 * Several workers may ask at once, without a lock. As in RFC 6479 a ring of words holds one bit a
 * counter, and moving the window on means overwriting words, not shifting. What RFC 6479 does in
 * two steps (clear the words passed over, then set the bit) would need a lock; so here each word
 * carries beside 32 bits the lap of the ring that they belong to, and one compare-and-swap
 * both replaces a word of an earlier lap and sets the bit. Of two workers with the same counter one
 * loses that swap, reads again and finds the bit set; a word never goes back to an earlier lap, so
 * a bit once set is only lost to a lap for which the counter is too old.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	REPLAY_WORD_BITS = 32,
	REPLAY_WORDS = 257, /* one more than the window has: the newest may have just begun */
	REPLAY_WINDOW = (REPLAY_WORDS - 1) * REPLAY_WORD_BITS, /* 8,192 */
};

/* Zeroed at first. */
struct replay {
	_Atomic uint64_t greatest; /* number of the newest word: counter / REPLAY_WORD_BITS */
	_Atomic uint64_t words[REPLAY_WORDS]; /* lap << 32 | bits */
};

/*
 * True, once, for a counter below REJECT_AFTER_MESSAGES that was not yet accepted and is less than
 * REPLAY_WINDOW (or, as the window moves by whole words, up to a word more) behind the greatest
 * accepted. To be asked only after the message has been authenticated. (A leap of 2^44 counters,
 * which nobody can have sent in the life of a key, may be refused.)
 */
bool replay_accept(struct replay *replay, uint64_t counter);

/*
 * For another process that goes on: the window as bits of counters, the newest word first, as many
 * as have been begun. Nobody receives meanwhile. Returns how many words there are.
 */
uint32_t replay_save(const struct replay *replay, uint64_t *newest, uint32_t words[REPLAY_WORDS]);
/* Into a zeroed one. What lies behind the n words that there are counts as received. */
void replay_restore(
	struct replay *replay, uint64_t newest, const uint32_t words[REPLAY_WORDS], uint32_t n);
