/*
 * Messages of the data path. Where they are short, ChaCha20 is in lanes of our own. Where they are
 * long, it is of our own with AVX-512, and Poly1305 of four at once; with AVX2 both go on together,
 * of one message after the other; else both are the library's. Each worker has a context for each
 * direction.
 */
#include "device/crypto/aead_batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device/crypto/aead_beside_avx2.h"
#include "device/crypto/aead_tag.h"
#include "device/crypto/chacha20_avx512.h"
#include "device/crypto/chacha20_lanes.h"
#include "device/crypto/chacha20_lanes_avx2.h"
#include "device/crypto/library.h"
#include "device/crypto/poly1305_lanes.h"
#include "device/crypto/poly1305_lanes_ifma.h"
#include "device/crypto/wipe.h"

enum {
	/*
	 * What one run of ChaCha20 in lanes does, with the block of the one-time key. The library
	 * takes as long to begin with as this takes; and after a sleep of 4 ms, in which others
	 * have pushed its code out of the caches, 15 to 20 us.
	 */
	SHORT_MAX = (CHACHA20_LANES_PORTABLE - 1) * CHACHA20_BLOCK,
	LANES_WORTH = 3, /* so many messages in lanes take less than one by one */
	STACK_USED = 1 << 14, /* bytes at the most, by whoever seals or opens, and his callers */
	MAX_LENGTH = 1 << 16,
	WORK_SIZE = CHACHA20_BLOCK + MAX_LENGTH,
};

struct aead_batch {
	struct library *library;
	enum aead_processor processor;
	chacha20_lanes_fn *make_blocks;
	/* Sealed messages without a tag, and where it goes. With AVX2 one at the most. */
	size_t n_waiting;
	bool failed; /* to make a tag */
	uint8_t *tags[POLY1305_LANES];
	struct poly1305_lane lanes[POLY1305_LANES];
	uint8_t blocks[CHACHA20_LANES][CHACHA20_BLOCK];
	/* For a message that is deciphered before its tag was found right; NULL: none is. */
	uint8_t *work;
	size_t used; /* of it, since it was last wiped */
};

enum aead_processor aead_processor(enum aead_processor most)
{
#ifdef __x86_64__
	if (most >= AEAD_AVX512 && __builtin_cpu_supports("avx512f") &&
		__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
		__builtin_cpu_supports("avx512ifma"))
		return AEAD_AVX512;
	if (most >= AEAD_AVX2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"))
		return AEAD_AVX2;
#endif
	(void)most;
	return AEAD_PORTABLE;
}

static void choose(struct aead_batch *batch, enum aead_processor processor)
{
	batch->processor = processor;
	batch->make_blocks = chacha20_lanes_portable;
#ifdef __x86_64__
	if (processor >= AEAD_AVX2)
		batch->make_blocks = chacha20_lanes_avx2;
#endif
}

struct aead_batch *aead_batch_new(enum aead_processor most)
{
	struct aead_batch *batch = calloc(1, sizeof *batch);

	if (!batch)
		return NULL;
	choose(batch, aead_processor(most));
	if (batch->processor != AEAD_AVX512)
		batch->work = malloc(WORK_SIZE);
	if (batch->processor == AEAD_AVX512 || batch->work)
		batch->library = library_new();
	if (batch->library)
		return batch;
	free(batch->work);
	free(batch);
	return NULL;
}

static void wipe_work(struct aead_batch *batch)
{
	explicit_bzero(batch->lanes, sizeof batch->lanes);
	explicit_bzero(batch->blocks, sizeof batch->blocks);
	if (batch->used > 0)
		explicit_bzero(batch->work, batch->used);
	batch->used = 0;
}

void aead_batch_free(struct aead_batch *batch)
{
	if (!batch)
		return;
	library_free(batch->library);
	wipe_work(batch);
	free(batch->work);
	free(batch);
}

/* A key's words that the processor had too few registers for, in every lane's copy: the library
 * leaves them there, too. */
__attribute__((noinline)) static void wipe_stack(void)
{
	uint8_t below[STACK_USED];

	explicit_bzero(below, sizeof below);
}

void aead_batch_forget(struct aead_batch *batch)
{
	library_forget(batch->library);
	wipe_work(batch);
	wipe_stack();
}

static int make_tag_by_library(struct aead_batch *batch, struct poly1305_lane *lane)
{
	return library_mac(batch->library, lane->key, lane->data, lane->n_data * POLY1305_BLOCK,
		lane->end, lane->n_end * POLY1305_BLOCK, lane->tag);
}

static void make_short_tag(struct poly1305_lane *lane)
{
	struct poly1305 poly;

	poly1305_begin(&poly, lane->key);
	poly1305_add(&poly, lane->data, lane->n_data);
	poly1305_add(&poly, lane->end, lane->n_end);
	poly1305_end(&poly, lane->tag);
}

/* Of the first n lanes. */
static int make_tags(struct aead_batch *batch, size_t n)
{
	int error = 0;

#ifdef __x86_64__
	if (batch->processor == AEAD_AVX512 && n >= LANES_WORTH) {
		for (size_t i = n; i < POLY1305_LANES; i++)
			batch->lanes[i].n_data = batch->lanes[i].n_end = 0;
		poly1305_lanes_ifma(batch->lanes);
		return 0;
	}
#endif
	for (size_t i = 0; i < n && error == 0; i++)
		error = make_tag_by_library(batch, &batch->lanes[i]);
	return error;
}

/* The key stream of a short message: the block of the one-time key, then as many as it has. */
static void make_short_stream(
	struct aead_batch *batch, const struct aead_key *key, uint64_t counter)
{
	struct chacha20_lanes lanes;

	for (uint32_t i = 0; i < CHACHA20_LANES; i++) {
		lanes.block[i] = i;
		lanes.counter[i] = counter;
	}
	batch->make_blocks(key->bytes, &lanes, batch->blocks);
}

static void xor_short_stream(
	const struct aead_batch *batch, const uint8_t *in, size_t n, uint8_t *out)
{
	const uint8_t *stream = batch->blocks[1];
	size_t i = 0;

	/* eight at a time, which compilers do not do by themselves where n is anything */
	for (; i + sizeof(uint64_t) <= n; i += sizeof(uint64_t)) {
		uint64_t word, with;

		memcpy(&word, in + i, sizeof word);
		memcpy(&with, stream + i, sizeof with);
		word ^= with;
		memcpy(out + i, &word, sizeof word);
	}
	for (; i < n; i++)
		out[i] = in[i] ^ stream[i];
}

static void seal_short(struct aead_batch *batch, const struct aead_key *key, uint64_t counter,
	const uint8_t *in, size_t n, uint8_t *out)
{
	struct poly1305_lane lane;

	make_short_stream(batch, key, counter);
	xor_short_stream(batch, in, n, out);
	aead_tag_lane(&lane, batch->blocks[0], out, n);
	make_short_tag(&lane);
	memcpy(out + n, lane.tag, sizeof lane.tag);
	wipe(lane.key, sizeof lane.key);
}

/* Whole blocks of a long message. */
static int stream(struct aead_batch *batch, const struct aead_key *key, uint64_t counter,
	uint32_t block, const uint8_t *in, size_t n_blocks, uint8_t *out)
{
#ifdef __x86_64__
	if (batch->processor == AEAD_AVX512) {
		chacha20_avx512(key->bytes, counter, block, in, n_blocks, out);
		return 0;
	}
#endif
	return library_stream(
		batch->library, key->bytes, counter, block, in, n_blocks * CHACHA20_BLOCK, out);
}

/* By words: what is stored byte by byte and loaded as a whole soon after, as a key is, waits until
 * all of it has left the processor's queue of stores. */
static void xor_half_block(const uint8_t *a, const uint8_t *b, uint8_t out[POLY1305_KEY])
{
	uint64_t x[POLY1305_KEY / sizeof(uint64_t)], y[POLY1305_KEY / sizeof(uint64_t)];

	memcpy(x, a, sizeof x);
	memcpy(y, b, sizeof y);
	for (size_t i = 0; i < POLY1305_KEY / sizeof(uint64_t); i++)
		x[i] ^= y[i];
	memcpy(out, x, sizeof x);
}

/* With the block counter from 0: what comes out before the message, XORed with what was there, is
 * the block whose first half is the one-time key (RFC 8439, 2.6). */
static int cipher_long(struct aead_batch *batch, const struct aead_key *key, uint64_t counter,
	const uint8_t *in, size_t n, uint8_t *out, uint8_t one_time_key[POLY1305_KEY])
{
	const uint8_t *before = in - CHACHA20_BLOCK;
	uint8_t kept[CHACHA20_BLOCK], *block = out - CHACHA20_BLOCK;
	int error;

	memcpy(kept, block, sizeof kept);
	error = stream(batch, key, counter, 0, before, 1 + chacha20_blocks(n), block);
	xor_half_block(block, before, one_time_key);
	memcpy(block, kept, sizeof kept);
	return error;
}

/* Those that waited have been made. */
static void place_tags(struct aead_batch *batch)
{
	for (size_t i = 0; i < batch->n_waiting; i++)
		memcpy(batch->tags[i], batch->lanes[i].tag, AEAD_TAG_SIZE);
	batch->n_waiting = 0;
}

static void make_waiting_tags(struct aead_batch *batch)
{
	if (make_tags(batch, batch->n_waiting) < 0)
		batch->failed = true;
	place_tags(batch);
}

int aead_batch_finish(struct aead_batch *batch)
{
	int error;

	make_waiting_tags(batch);
	error = batch->failed ? -EIO : 0;
	batch->failed = false;
	return error;
}

static int cipher_to_seal(struct aead_batch *batch, const struct aead_key *key, uint64_t counter,
	const uint8_t *in, size_t n, uint8_t *out, uint8_t one_time_key[POLY1305_KEY])
{
#ifdef __x86_64__
	if (batch->processor == AEAD_AVX2) {
		/* the tag of the message before, meanwhile */
		aead_cipher_beside_avx2(key, counter, in, n, out, one_time_key,
			batch->n_waiting > 0 ? batch->lanes : NULL);
		place_tags(batch);
		return 0;
	}
#endif
	return cipher_long(batch, key, counter, in, n, out, one_time_key);
}

int aead_batch_seal(struct aead_batch *batch, const struct aead_key *key, uint64_t counter,
	const uint8_t *in, size_t n, uint8_t *out)
{
	uint8_t one_time_key[POLY1305_KEY];
	int error;

	if (n > MAX_LENGTH)
		return -EMSGSIZE;
	if (n <= SHORT_MAX) {
		seal_short(batch, key, counter, in, n, out);
		return 0;
	}
	error = cipher_to_seal(batch, key, counter, in, n, out, one_time_key);
	if (error)
		return error;
	aead_tag_lane(&batch->lanes[batch->n_waiting], one_time_key, out, n);
	wipe(one_time_key, sizeof one_time_key);
	batch->tags[batch->n_waiting++] = out + n;
	if (batch->n_waiting == POLY1305_LANES)
		make_waiting_tags(batch);
	return 0;
}

static void open_short(
	struct aead_batch *batch, const struct aead_key *key, struct aead_sealed *message)
{
	size_t n = message->n - AEAD_TAG_SIZE;
	struct poly1305_lane lane;

	make_short_stream(batch, key, message->counter);
	aead_tag_lane(&lane, batch->blocks[0], message->data, n);
	make_short_tag(&lane);
	message->authentic = aead_tag_same(lane.tag, message->data + n);
	if (message->authentic)
		xor_short_stream(batch, message->data, n, message->data);
	wipe(lane.key, sizeof lane.key);
}

static void use_work(struct aead_batch *batch, size_t size)
{
	batch->used = size > batch->used ? size : batch->used;
}

/* Without lanes the one-time key is had at the least cost by deciphering all, elsewhere; it is
 * copied when the tag holds. */
static void open_by_library(
	struct aead_batch *batch, const struct aead_key *key, struct aead_sealed *message)
{
	size_t n = message->n - AEAD_TAG_SIZE;
	uint8_t *out = batch->work + CHACHA20_BLOCK, one_time_key[POLY1305_KEY];
	struct poly1305_lane lane;

	use_work(batch, (1 + chacha20_blocks(n)) * CHACHA20_BLOCK);
	if (cipher_long(batch, key, message->counter, message->data, n, out, one_time_key) < 0)
		return;
	aead_tag_lane(&lane, one_time_key, message->data, n);
	message->authentic = make_tag_by_library(batch, &lane) == 0 &&
			     aead_tag_same(lane.tag, message->data + n);
	if (message->authentic)
		memcpy(message->data, out, n);
	wipe(lane.key, sizeof lane.key);
	wipe(one_time_key, sizeof one_time_key);
}

/* One that is authentic. */
static int decipher_long(
	struct aead_batch *batch, const struct aead_key *key, const struct aead_sealed *message)
{
	size_t n = message->n - AEAD_TAG_SIZE;
	uint8_t kept[CHACHA20_BLOCK], *end = message->data + n;
	int error;

	memcpy(kept, end, sizeof kept);
	error = stream(
		batch, key, message->counter, 1, message->data, chacha20_blocks(n), message->data);
	memcpy(end, kept, sizeof kept);
	return error;
}

/* Some messages that fit the lanes. */
static void open_lanes(struct aead_batch *batch, const struct aead_key *key,
	struct aead_sealed *const *messages, size_t count,
	const uint8_t one_time_keys[][CHACHA20_BLOCK])
{
	int error;

	for (size_t i = 0; i < count; i++)
		aead_tag_lane(&batch->lanes[i], one_time_keys[i], messages[i]->data,
			messages[i]->n - AEAD_TAG_SIZE);
	error = make_tags(batch, count);
	for (size_t i = 0; i < count; i++) {
		struct aead_sealed *message = messages[i];
		const uint8_t *tag = message->data + message->n - AEAD_TAG_SIZE;

		message->authentic = !error && aead_tag_same(batch->lanes[i].tag, tag);
		if (message->authentic && decipher_long(batch, key, message) < 0)
			message->authentic = false;
	}
}

#ifdef __x86_64__
static void open_beside(struct aead_batch *batch, const struct aead_key *key,
	struct aead_sealed *message, const uint8_t one_time_key[POLY1305_KEY])
{
	size_t n = message->n - AEAD_TAG_SIZE;

	use_work(batch, chacha20_blocks(n) * CHACHA20_BLOCK);
	message->authentic = aead_open_beside_avx2(
		key, message->counter, message->data, n, one_time_key, batch->work);
}
#endif

static void open_long(struct aead_batch *batch, const struct aead_key *key,
	struct aead_sealed *const *messages, size_t count)
{
	struct chacha20_lanes lanes = {0};

	for (size_t i = 0; i < count; i++)
		lanes.counter[i] = messages[i]->counter;
	batch->make_blocks(key->bytes, &lanes, batch->blocks);
#ifdef __x86_64__
	if (batch->processor == AEAD_AVX2) {
		for (size_t i = 0; i < count; i++)
			open_beside(batch, key, messages[i], batch->blocks[i]);
		return;
	}
#endif
	for (size_t i = 0; i < count; i += POLY1305_LANES)
		open_lanes(batch, key, messages + i,
			count - i < POLY1305_LANES ? count - i : POLY1305_LANES,
			(const uint8_t(*)[CHACHA20_BLOCK])batch->blocks + i);
}

void aead_batch_open(struct aead_batch *batch, const struct aead_key *key,
	struct aead_sealed *messages, size_t count)
{
	struct aead_sealed *all_long[AEAD_BATCH];
	size_t n_long = 0;

	for (size_t i = 0; i < count; i++) {
		struct aead_sealed *message = &messages[i];

		message->authentic = false;
		if (message->n < AEAD_TAG_SIZE || message->n > MAX_LENGTH + AEAD_TAG_SIZE)
			continue;
		if (message->n - AEAD_TAG_SIZE <= SHORT_MAX)
			open_short(batch, key, message);
		else if (batch->processor == AEAD_PORTABLE)
			open_by_library(batch, key, message);
		else
			all_long[n_long++] = message;
	}
	if (n_long > 0)
		open_long(batch, key, all_long, n_long);
}
