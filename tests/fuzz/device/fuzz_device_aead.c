/*
 * Messages that arrive together, as many as are opened at once. The first bytes of the input say
 * how long each is and what is changed of it; the rest is their text. What was not changed opens to
 * what was sealed, all else is refused, and no byte beside is touched; whatever the processor has
 * gives the same.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "device/crypto/aead_batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	HEAD = 4, /* bytes of the input for each message: length (2), what is changed, where */
	LENGTH_MAX = 2048,
	SLOT = LENGTH_MAX + AEAD_TAG_SIZE,
	ALL = AEAD_ROOM + AEAD_BATCH * SLOT + AEAD_ROOM,
	KINDS = AEAD_BEST + 1,
};

static struct aead *single;
static struct aead_batch *batches[KINDS];

/* What is done to a sealed message. */
enum change {
	CHANGE_NOTHING,
	CHANGE_BYTE,
	CHANGE_COUNTER,
	CHANGE_LENGTH,
	CHANGES,
};

struct text {
	size_t n;
	enum change change;
	uint8_t at;
	uint8_t bytes[LENGTH_MAX];
};

static void set_up(void)
{
	single = aead_new();
	for (int kind = 0; kind < KINDS; kind++)
		batches[kind] = aead_batch_new((enum aead_processor)kind);
}

static size_t read_texts(const uint8_t *data, size_t size, struct text texts[AEAD_BATCH])
{
	size_t count = 0;

	while (count < AEAD_BATCH && size >= HEAD) {
		struct text *text = &texts[count++];

		text->n = (size_t)(data[0] | data[1] << 8) % (LENGTH_MAX + 1);
		text->change = (enum change)(data[2] % CHANGES);
		text->at = data[3];
		data += HEAD;
		size -= HEAD;
		for (size_t i = 0; i < text->n; i++)
			text->bytes[i] = size > 0 ? data[i % size] : (uint8_t)i;
		data += text->n < size ? text->n : size;
		size -= text->n < size ? text->n : size;
	}
	return count;
}

/* Seals one after the other, with this kind, and compares with what is sealed by itself. */
static void seal_all(struct aead_batch *batch, const struct aead_key *key, const struct text *texts,
	size_t count, uint8_t *out, struct aead_sealed *messages)
{
	static uint8_t in[AEAD_ROOM + LENGTH_MAX + AEAD_ROOM], wanted[SLOT];
	uint8_t *at = out + AEAD_ROOM;

	for (size_t i = 0; i < count; i++) {
		memcpy(in + AEAD_ROOM, texts[i].bytes, texts[i].n);
		if (aead_batch_seal(batch, key, i, in + AEAD_ROOM, texts[i].n, at) != 0)
			abort();
		messages[i] = (struct aead_sealed){at, texts[i].n + AEAD_TAG_SIZE, i, false};
		at += messages[i].n;
	}
	if (aead_batch_finish(batch) != 0)
		abort();
	for (size_t i = 0; i < count; i++)
		if (aead_seal(single, key, i, NULL, 0, texts[i].bytes, texts[i].n, wanted) != 0 ||
			memcmp(messages[i].data, wanted, messages[i].n) != 0)
			abort();
}

static void change(struct aead_sealed *message, const struct text *text)
{
	switch (text->change) {
	case CHANGE_BYTE:
		message->data[text->at % message->n] ^= (uint8_t)(text->at | 1);
		break;
	case CHANGE_COUNTER:
		message->counter += text->at + 1u;
		break;
	case CHANGE_LENGTH:
		message->n -= text->at % message->n + 1;
		break;
	case CHANGE_NOTHING:
	case CHANGES:
		break;
	}
}

static void try_kind(struct aead_batch *batch, const struct text *texts, size_t count)
{
	static uint8_t bytes[ALL], wanted[ALL];
	struct aead_sealed messages[AEAD_BATCH];
	struct aead_key key = {{texts[0].at, (uint8_t)count}};

	seal_all(batch, &key, texts, count, bytes, messages);
	for (size_t i = 0; i < count; i++)
		change(&messages[i], &texts[i]);
	memcpy(wanted, bytes, sizeof wanted);
	aead_batch_open(batch, &key, messages, count);
	for (size_t i = 0; i < count; i++) {
		if (messages[i].authentic != (texts[i].change == CHANGE_NOTHING))
			abort();
		if (messages[i].authentic)
			memcpy(wanted + (messages[i].data - bytes), texts[i].bytes, texts[i].n);
	}
	if (memcmp(wanted, bytes, sizeof wanted) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct text texts[AEAD_BATCH];
	size_t count;

	if (!single)
		set_up();
	count = read_texts(data, size, texts);
	if (count == 0)
		return 0;
	for (int kind = 0; kind < KINDS; kind++)
		try_kind(batches[kind], texts, count);
	return 0;
}
