/*
 * Many messages of ChaCha20-Poly1305 without additional data, as the data path has them: they are
 * not copied, and tags are made of several messages side by side where the processor can. What
 * comes out is what aead.h gives for each.
 *
 * A context belongs to one thread, and either seals or opens; nothing is allocated after it was
 * made.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/crypto/aead.h"

enum {
	AEAD_BATCH = 8, /* messages to open at once */
	/* The library's ChaCha20 runs over whole blocks, one of them before the message, which
	 * gives the one-time key of its tag. */
	AEAD_ROOM = 64,
};

/* What the processor has, each more than the one before. */
enum aead_processor {
	AEAD_PORTABLE,
	AEAD_AVX2,
	AEAD_AVX512, /* with its multiplication of 52 bits */
	AEAD_BEST = AEAD_AVX512,
};

/* What this one has, up to `most`. */
enum aead_processor aead_processor(enum aead_processor most);

struct aead_batch;

/* Uses what the processor has, up to `most`: AEAD_BEST but for tests. NULL with errno ENOMEM or
 * EIO; as aead_new(), it comes before a sandbox. */
struct aead_batch *aead_batch_new(enum aead_processor most);
void aead_batch_free(struct aead_batch *batch);

/*
 * Seals n bytes into out; they do not overlap. The tag, behind them, may be made later, at the
 * latest by aead_batch_finish(): until then the sealed bytes stay where they are. in: AEAD_ROOM
 * bytes before it and behind it can be read. out: AEAD_ROOM bytes before it can be written, and are
 * left as they were; those behind the tag, up to AEAD_ROOM from the end of the message, are
 * overwritten. Returns 0, -EMSGSIZE (over 64 KiB) or -EIO (the library fails).
 */
int aead_batch_seal(struct aead_batch *batch, const struct aead_key *key, uint64_t counter,
	const uint8_t *in, size_t n, uint8_t *out);
/* Makes all tags that are missing. -EIO: the library failed, and nothing may be sent of what was
 * sealed since the last call. */
int aead_batch_finish(struct aead_batch *batch);

struct aead_sealed {
	uint8_t *data;
	size_t n; /* bytes, tag included */
	uint64_t counter;
	bool authentic; /* the result */
};

/*
 * Opens messages of one key, AEAD_BATCH at the most, each where it lies. Those that are not
 * authentic, or longer than 64 KiB, are as they were. AEAD_ROOM bytes before each message can be
 * read; as many behind it can be written, and are left as they were.
 */
void aead_batch_open(struct aead_batch *batch, const struct aead_key *key,
	struct aead_sealed *messages, size_t count);

/* Overwrites the keys, and what the last messages have left, on the caller's stack too. To be
 * called when a sleep is long, or before one that may be. */
void aead_batch_forget(struct aead_batch *batch);
