#include "hex.h"

#include <errno.h>
#include <pthread.h>

#include <openssl/evp.h>

#include "device/crypto/aead_batch.h"
#include "device/crypto/chacha20_lanes.h"
#include "device/crypto/chacha20_lanes_avx2.h"
#include "device/crypto/chacha20_poly1305_avx2.h"
#include "device/crypto/poly1305_lanes.h"
#include "device/crypto/poly1305_lanes_ifma.h"
#include "random.h"

enum {
	MESSAGE_MAX = 2000,
	HEADER = 16, /* before each message, as WireGuard's */
	SLOT = HEADER + MESSAGE_MAX + AEAD_TAG_SIZE,
	ARRIVED = AEAD_ROOM + AEAD_BATCH * SLOT + AEAD_ROOM,
	BURST = 44,
	BURST_SIZE = AEAD_ROOM + BURST * SLOT + AEAD_ROOM,
};

struct fixture {
	struct aead_batch *batch;
	EVP_CIPHER_CTX *reference;
	struct random random;
	struct aead_key key;
	uint8_t plain[AEAD_ROOM + MESSAGE_MAX + AEAD_ROOM];
	uint8_t wanted[BURST_SIZE], out[BURST_SIZE];
};

static int set_up(void **state, enum aead_processor most)
{
	struct fixture *f = calloc(1, sizeof *f);

	f->batch = aead_batch_new(most);
	f->reference = EVP_CIPHER_CTX_new();
	f->random.state = 12345;
	*state = f;
	return f->batch && f->reference ? 0 : -1;
}

static int set_up_portable(void **state)
{
	return set_up(state, AEAD_PORTABLE);
}

static int set_up_avx2(void **state)
{
	return set_up(state, AEAD_AVX2);
}

static int set_up_best(void **state)
{
	return set_up(state, AEAD_BEST);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	aead_batch_free(f->batch);
	EVP_CIPHER_CTX_free(f->reference);
	free(f);
	return 0;
}

static void fill(struct random *random, uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)random_next(random);
}

static struct aead_key random_key(struct random *random)
{
	struct aead_key key;

	fill(random, key.bytes, sizeof key.bytes);
	return key;
}

/* Around the limits of blocks, and of what is short; or any length. */
static size_t random_length(struct random *random)
{
	static const size_t edges[] = {0, 16, 64, 192, 448, 512, 1024, 1408, 1420};
	size_t edge = edges[random_below(random, sizeof edges / sizeof *edges)];

	switch (random_below(random, 3)) {
	case 0:
		return edge + random_below(random, 3);
	case 1:
		return edge < 2 ? edge : edge - random_below(random, 3);
	default:
		return random_below(random, MESSAGE_MAX + 1);
	}
}

/* OpenSSL's own AEAD. */
static void seal_by_reference(struct fixture *f, const struct aead_key *key, uint64_t counter,
	const uint8_t *in, size_t n, uint8_t *out)
{
	uint8_t nonce[12] = {0};
	int written;

	for (int i = 0; i < 8; i++)
		nonce[4 + i] = (uint8_t)(counter >> 8 * i);
	assert_int_equal(
		EVP_EncryptInit_ex(f->reference, EVP_chacha20_poly1305(), NULL, key->bytes, nonce),
		1);
	if (n > 0)
		assert_int_equal(EVP_EncryptUpdate(f->reference, out, &written, in, (int)n), 1);
	assert_int_equal(EVP_EncryptFinal_ex(f->reference, out + n, &written), 1);
	assert_int_equal(
		EVP_CIPHER_CTX_ctrl(f->reference, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_SIZE, out + n),
		1);
}

/* Seals a burst as it is sent: one after the other, each behind a header. Returns its end. */
static size_t seal_burst(struct fixture *f, const struct aead_key *key, int n, bool any_length)
{
	uint64_t counter = random_next(&f->random);
	size_t at = AEAD_ROOM;

	for (int i = 0; i < n; i++) {
		size_t length = any_length ? random_length(&f->random) : 1420;

		fill(&f->random, f->plain, sizeof f->plain);
		fill(&f->random, f->out + at, HEADER);
		memcpy(f->wanted + at, f->out + at, HEADER);
		at += HEADER;
		assert_int_equal(aead_batch_seal(f->batch, key, counter, f->plain + AEAD_ROOM,
					 length, f->out + at),
			0);
		seal_by_reference(f, key, counter++, f->plain + AEAD_ROOM, length, f->wanted + at);
		at += length + AEAD_TAG_SIZE;
	}
	assert_int_equal(aead_batch_finish(f->batch), 0);
	return at;
}

static void bursts_are_sealed_as_openssl_seals_each_message(void **state)
{
	struct fixture *f = *state;

	for (int round = 0; round < 300; round++) {
		struct aead_key key = random_key(&f->random);
		int n = (int)random_below(&f->random, BURST) + 1;
		size_t end;

		fill(&f->random, f->out, AEAD_ROOM);
		memcpy(f->wanted, f->out, AEAD_ROOM);
		end = seal_burst(f, &key, n, round % 4 != 0);
		assert_memory_equal(f->out, f->wanted, end);
	}
}

/* Each has a number of blocks, and of bytes in the last one, of its own. */
static void every_length_is_sealed_and_opened_as_openssl_does(void **state)
{
	struct fixture *f = *state;
	struct aead_key key = random_key(&f->random);
	uint8_t *out = f->out + AEAD_ROOM;

	for (size_t n = 0; n <= MESSAGE_MAX; n++) {
		uint64_t counter = random_next(&f->random);
		struct aead_sealed sealed = {out, n + AEAD_TAG_SIZE, counter, false};

		fill(&f->random, f->plain, sizeof f->plain);
		fill(&f->random, f->out, AEAD_ROOM + n + AEAD_TAG_SIZE + AEAD_ROOM);
		memcpy(f->wanted, f->out, AEAD_ROOM);
		seal_by_reference(f, &key, counter, f->plain + AEAD_ROOM, n, f->wanted + AEAD_ROOM);
		assert_int_equal(
			aead_batch_seal(f->batch, &key, counter, f->plain + AEAD_ROOM, n, out), 0);
		assert_int_equal(aead_batch_finish(f->batch), 0);
		assert_memory_equal(f->out, f->wanted, AEAD_ROOM + n + AEAD_TAG_SIZE);
		aead_batch_open(f->batch, &key, &sealed, 1);
		assert_true(sealed.authentic);
		assert_memory_equal(out, f->plain + AEAD_ROOM, n);
	}
}

/* A message that may be of any length up to the largest. */
static void long_messages_are_sealed_and_opened_as_openssl_does(void **state)
{
	static const size_t lengths[] = {4096, 9000, 65535, 65536};
	struct fixture *f = *state;
	size_t room = AEAD_ROOM + 65536 + AEAD_TAG_SIZE + AEAD_ROOM;
	uint8_t *plain = malloc(room), *out = malloc(room), *wanted = malloc(room);
	struct aead_key key = random_key(&f->random);

	fill(&f->random, plain, room);
	memset(out, 0, AEAD_ROOM);
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		size_t n = lengths[i];
		struct aead_sealed sealed = {out + AEAD_ROOM, n + AEAD_TAG_SIZE, i, false};

		assert_int_equal(
			aead_batch_seal(f->batch, &key, i, plain + AEAD_ROOM, n, out + AEAD_ROOM),
			0);
		assert_int_equal(aead_batch_finish(f->batch), 0);
		seal_by_reference(f, &key, i, plain + AEAD_ROOM, n, wanted);
		assert_memory_equal(out + AEAD_ROOM, wanted, n + AEAD_TAG_SIZE);
		aead_batch_open(f->batch, &key, &sealed, 1);
		assert_true(sealed.authentic);
		assert_memory_equal(out + AEAD_ROOM, plain + AEAD_ROOM, n);
	}
	assert_int_equal(
		aead_batch_seal(f->batch, &key, 0, plain + AEAD_ROOM, 65537, out), -EMSGSIZE);
	free(plain);
	free(out);
	free(wanted);
}

/* Messages as they arrive: one after the other, each behind a header. */
struct arrived {
	uint8_t bytes[ARRIVED], as_before[ARRIVED];
	uint8_t plain[AEAD_BATCH][MESSAGE_MAX];
	struct aead_sealed messages[AEAD_BATCH];
	bool changed[AEAD_BATCH];
};

/* One message in so many is changed: a bit of it, its counter, or its length. */
static void change_some(struct fixture *f, struct arrived *a, size_t n, unsigned int one_in)
{
	for (size_t i = 0; i < n; i++) {
		struct aead_sealed *m = &a->messages[i];
		uint64_t bit = random_below(&f->random, 8 * m->n);

		a->changed[i] = random_below(&f->random, one_in) == 0;
		if (!a->changed[i])
			continue;
		switch (random_below(&f->random, 4)) {
		case 0:
			m->counter++;
			break;
		case 1:
			m->n -= random_below(&f->random, m->n) + 1;
			break;
		default:
			m->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
}

static void let_arrive(struct fixture *f, struct arrived *a, const struct aead_key *key, size_t n)
{
	size_t at = AEAD_ROOM;

	fill(&f->random, a->bytes, sizeof a->bytes);
	for (size_t i = 0; i < n; i++) {
		size_t length = random_length(&f->random);
		uint64_t counter = random_next(&f->random);

		fill(&f->random, a->plain[i], length);
		at += HEADER;
		seal_by_reference(f, key, counter, a->plain[i], length, a->bytes + at);
		a->messages[i] =
			(struct aead_sealed){a->bytes + at, length + AEAD_TAG_SIZE, counter, true};
		at += length + AEAD_TAG_SIZE;
	}
}

/* The messages that were not changed, and nothing else, are as OpenSSL's were before it sealed. */
static void check_opened(struct arrived *a, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct aead_sealed *m = &a->messages[i];

		assert_int_equal(m->authentic, !a->changed[i]);
		if (m->authentic)
			memcpy(a->as_before + (m->data - a->bytes), a->plain[i],
				m->n - AEAD_TAG_SIZE);
	}
	assert_memory_equal(a->bytes, a->as_before, sizeof a->bytes);
}

static void one_bad_tag_spoils_no_neighbour_and_leaves_its_message_as_it_was(void **state)
{
	struct fixture *f = *state;
	struct arrived *a = calloc(1, sizeof *a);

	for (int round = 0; round < 2000; round++) {
		struct aead_key key = random_key(&f->random);
		size_t n = random_below(&f->random, AEAD_BATCH) + 1;

		let_arrive(f, a, &key, n);
		change_some(f, a, n, 3);
		memcpy(a->as_before, a->bytes, sizeof a->bytes);
		aead_batch_open(f->batch, &key, a->messages, n);
		check_opened(a, n);
	}
	free(a);
}

static void any_changed_bit_of_a_tag_is_noticed_in_every_lane(void **state)
{
	struct fixture *f = *state;
	struct arrived *a = calloc(1, sizeof *a);
	struct aead_key key = random_key(&f->random);

	for (size_t i = 0; i < AEAD_BATCH * 8 * AEAD_TAG_SIZE; i++) {
		size_t which = i % AEAD_BATCH, bit = i / AEAD_BATCH;
		const struct aead_sealed *one = &a->messages[which];

		let_arrive(f, a, &key, AEAD_BATCH);
		memset(a->changed, 0, sizeof a->changed);
		a->changed[which] = true;
		one->data[one->n - AEAD_TAG_SIZE + bit / 8] ^= (uint8_t)(1 << bit % 8);
		memcpy(a->as_before, a->bytes, sizeof a->bytes);
		aead_batch_open(f->batch, &key, a->messages, AEAD_BATCH);
		check_opened(a, AEAD_BATCH);
	}
	free(a);
}

static void what_was_forgotten_is_set_up_again(void **state)
{
	struct fixture *f = *state;
	struct aead_key keys[2] = {random_key(&f->random), {{0}}};

	for (int i = 0; i < 6; i++) {
		size_t end = seal_burst(f, &keys[i % 2], 5, false);

		assert_memory_equal(f->out + AEAD_ROOM, f->wanted + AEAD_ROOM, end - AEAD_ROOM);
		aead_batch_forget(f->batch);
	}
}

static void *seal_and_forget(void *argument)
{
	struct fixture *f = argument;

	for (size_t n = 80; n < MESSAGE_MAX; n += 670) {
		assert_int_equal(aead_batch_seal(f->batch, &f->key, n, f->plain + AEAD_ROOM, n,
					 f->out + AEAD_ROOM),
			0);
		assert_int_equal(aead_batch_finish(f->batch), 0);
	}
	aead_batch_forget(f->batch);
	return NULL;
}

/* Whether a word of the key is there as often as lanes have it. */
static bool has_lanes_of(const struct aead_key *key, const uint8_t *bytes, size_t n)
{
	uint8_t lanes[CHACHA20_LANES_PORTABLE][4];

	for (size_t word = 0; word < CHACHA20_KEY / sizeof lanes[0]; word++) {
		for (size_t i = 0; i < CHACHA20_LANES_PORTABLE; i++)
			memcpy(lanes[i], key->bytes + word * sizeof lanes[0], sizeof lanes[0]);
		if (memmem(bytes, n, lanes, sizeof lanes))
			return true;
	}
	return false;
}

static void what_was_forgotten_is_not_on_the_stack(void **state)
{
	enum { STACK_SIZE = 1 << 20 };
	struct fixture *f = *state;
	uint8_t *stack = aligned_alloc(4096, STACK_SIZE);
	pthread_attr_t attributes;
	pthread_t thread;

	memset(stack, 0, STACK_SIZE);
	f->key = random_key(&f->random);
	pthread_attr_init(&attributes);
	assert_int_equal(pthread_attr_setstack(&attributes, stack, STACK_SIZE), 0);
	assert_int_equal(pthread_create(&thread, &attributes, seal_and_forget, f), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_false(has_lanes_of(&f->key, stack, STACK_SIZE));
	pthread_attr_destroy(&attributes);
	free(stack);
}

/* Every other time what needs AVX2, where there is any. */
static chacha20_lanes_fn *chacha20_lanes_of(int way)
{
#ifdef __x86_64__
	if (way % 2 && aead_processor(AEAD_BEST) >= AEAD_AVX2)
		return chacha20_lanes_avx2;
#endif
	(void)way;
	return chacha20_lanes_portable;
}

static int n_lanes_of(int way)
{
	return chacha20_lanes_of(way) == chacha20_lanes_portable ? CHACHA20_LANES_PORTABLE
								 : CHACHA20_LANES;
}

#ifdef __x86_64__
/* One after the other, each beside a message of one run. */
static void poly1305_beside_chacha20(struct poly1305_lane lanes[POLY1305_LANES])
{
	uint8_t other[CHACHA20_BLOCK] = {0};

	for (int i = 0; i < POLY1305_LANES; i++) {
		struct poly1305_lane *lane = &lanes[i];
		struct poly1305_beside beside = {.data = lane->data, .n_blocks = lane->n_data};

		poly1305_begin(&beside.poly, lane->key);
		chacha20_poly1305_avx2(lane->key, 0, other, 1, other, NULL, &beside);
		assert_int_equal(beside.n_blocks, 0);
		beside.data = lane->end;
		beside.n_blocks = lane->n_end;
		chacha20_poly1305_avx2(lane->key, 0, other, 1, other, NULL, &beside);
		poly1305_end(&beside.poly, lane->tag);
	}
}
#endif

/* NULL: this processor has none of the kind. */
static poly1305_lanes_fn *poly1305_lanes_of(enum aead_processor kind)
{
#ifdef __x86_64__
	if (aead_processor(kind) == kind)
		return kind == AEAD_AVX2 ? poly1305_beside_chacha20 : poly1305_lanes_ifma;
#endif
	(void)kind;
	return NULL;
}

/* RFC 8439, A.1, 1 to 5: key, block, nonce, the key stream. */
static const struct {
	const char *key;
	uint32_t block;
	uint64_t counter;
	const char *stream;
} rfc_8439_blocks[] = {
	{"0000000000000000000000000000000000000000000000000000000000000000", 0, 0x0,
		"76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
		"da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"},
	{"0000000000000000000000000000000000000000000000000000000000000000", 1, 0x0,
		"9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
		"29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"},
	{"0000000000000000000000000000000000000000000000000000000000000001", 1, 0x0,
		"3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a"
		"8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0"},
	{"00ff000000000000000000000000000000000000000000000000000000000000", 2, 0x0,
		"72d54dfbf12ec44b362692df94137f328fea8da73990265ec1bbbea1ae9af0ca"
		"13b25aa26cb4a648cb9b9d1be65b2c0924a66c54d545ec1b7374f4872e99f096"},
	{"0000000000000000000000000000000000000000000000000000000000000000", 0, 0x200000000000000,
		"c2c64d378cd536374ae204b9ef933fcd1a8b2288b3dfa49672ab765b54ee27c7"
		"8a970e0e955c14f3a88e741b97c286f75f8fc299e8148362fa198a39531bed6d"},
};

static void chacha20_in_lanes_gives_what_rfc_8439_has(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rfc_8439_blocks / sizeof *rfc_8439_blocks; i++)
		for (int way = 0; way < 2; way++) {
			uint8_t key[CHACHA20_KEY], out[CHACHA20_LANES][CHACHA20_BLOCK];
			struct chacha20_lanes lanes = {{0}, {0}};
			size_t lane = (i + (size_t)way) % CHACHA20_LANES_PORTABLE;

			from_hex(rfc_8439_blocks[i].key, key, sizeof key);
			lanes.block[lane] = rfc_8439_blocks[i].block;
			lanes.counter[lane] = rfc_8439_blocks[i].counter;
			chacha20_lanes_of(way)(key, &lanes, out);
			assert_hex_equal(out[lane], CHACHA20_BLOCK, rfc_8439_blocks[i].stream);
		}
}

static void chacha20_in_lanes_gives_the_blocks_one_by_one(void **state)
{
	struct random random = {7};

	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct aead_key key = random_key(&random);
		uint8_t out[CHACHA20_LANES][CHACHA20_BLOCK], wanted[CHACHA20_BLOCK];
		struct chacha20_lanes lanes;

		for (int i = 0; i < CHACHA20_LANES; i++) {
			lanes.block[i] = (uint32_t)random_next(&random);
			lanes.counter[i] = random_next(&random);
		}
		chacha20_lanes_of(round)(key.bytes, &lanes, out);
		for (int i = 0; i < n_lanes_of(round); i++) {
			chacha20_block(key.bytes, lanes.block[i], lanes.counter[i], wanted);
			assert_memory_equal(out[i], wanted, sizeof wanted);
		}
	}
}

#ifdef __x86_64__
/* Block 0 is the one-time key's, of which there is the first half. */
static void check_rfc_8439_block(size_t i)
{
	uint8_t stream[2 * CHACHA20_BLOCK] = {0}, one_time_key[POLY1305_KEY], key[CHACHA20_KEY];
	uint32_t block = rfc_8439_blocks[i].block;
	struct poly1305_beside nothing = {0};
	char first_half[2 * POLY1305_KEY + 1] = {0};

	from_hex(rfc_8439_blocks[i].key, key, sizeof key);
	chacha20_poly1305_avx2(
		key, rfc_8439_blocks[i].counter, stream, 2, stream, one_time_key, &nothing);
	memcpy(first_half, rfc_8439_blocks[i].stream, 2 * POLY1305_KEY);
	if (block == 0)
		assert_hex_equal(one_time_key, POLY1305_KEY, first_half);
	else
		assert_hex_equal(stream + (block - 1) * CHACHA20_BLOCK, CHACHA20_BLOCK,
			rfc_8439_blocks[i].stream);
}

static void check_message_beside(struct random *random, size_t n_blocks, bool with_key)
{
	enum { MOST = 50 };
	uint8_t in[MOST * CHACHA20_BLOCK], out[sizeof in], one_time_key[POLY1305_KEY];
	struct poly1305_beside other = {.data = in, .n_blocks = random_below(random, MOST)};
	uint8_t tag[POLY1305_BLOCK], wanted_tag[POLY1305_BLOCK];
	struct poly1305 one_by_one;
	struct aead_key key = random_key(random);
	uint64_t counter = random_next(random);
	uint8_t block[CHACHA20_BLOCK];

	fill(random, in, sizeof in);
	poly1305_begin(&other.poly, key.bytes);
	one_by_one = other.poly;
	poly1305_add(&one_by_one, other.data, other.n_blocks);
	poly1305_end(&one_by_one, wanted_tag);
	chacha20_poly1305_avx2(
		key.bytes, counter, in, n_blocks, out, with_key ? one_time_key : NULL, &other);
	poly1305_add(&other.poly, other.data, other.n_blocks);
	poly1305_end(&other.poly, tag);
	assert_memory_equal(tag, wanted_tag, sizeof wanted_tag);
	chacha20_block(key.bytes, 0, counter, block);
	if (with_key)
		assert_memory_equal(one_time_key, block, sizeof one_time_key);
	for (size_t i = 0; i < n_blocks; i++) {
		chacha20_block(key.bytes, (uint32_t)i + 1, counter, block);
		for (size_t k = 0; k < sizeof block; k++)
			block[k] ^= in[i * sizeof block + k];
		assert_memory_equal(out + i * sizeof block, block, sizeof block);
	}
}
#endif

static void chacha20_beside_poly1305_gives_what_rfc_8439_has(void **state)
{
	(void)state;
#ifdef __x86_64__
	for (size_t i = 0; i < sizeof rfc_8439_blocks / sizeof *rfc_8439_blocks; i++)
		if (aead_processor(AEAD_BEST) >= AEAD_AVX2)
			check_rfc_8439_block(i);
#endif
}

static void chacha20_beside_poly1305_gives_the_blocks_one_by_one(void **state)
{
	struct random random = {79};

	(void)state;
	(void)random;
#ifdef __x86_64__
	for (size_t round = 0; round < 5000 && aead_processor(AEAD_BEST) >= AEAD_AVX2; round++)
		check_message_beside(&random, round % 40 + 1, random_below(&random, 2));
#endif
}

static void set_data(struct poly1305_lane *lane, const uint8_t *data, size_t n_data, size_t n_end)
{
	lane->data = data;
	lane->n_data = n_data;
	lane->n_end = n_end;
	memset(lane->end, 0xff, sizeof lane->end);
}

static void check_poly1305_in_lanes_gives_what_rfc_8439_has(poly1305_lanes_fn *make_tags)
{
	/* A.3, 7 to 11: sums close to the modulus */
	static const char *const vectors[][3] = {
		{"0200000000000000000000000000000000000000000000000000000000000000",
			"ffffffffffffffffffffffffffffffff", "03000000000000000000000000000000"},
		{"02000000000000000000000000000000ffffffffffffffffffffffffffffffff",
			"02000000000000000000000000000000", "03000000000000000000000000000000"},
		{"0100000000000000000000000000000000000000000000000000000000000000",
			"fffffffffffffffffffffffffffffffff0ffffffffffffffffffffffffffffff1100000000"
			"0000000000000000000000",
			"05000000000000000000000000000000"},
		{"0100000000000000000000000000000000000000000000000000000000000000",
			"fffffffffffffffffffffffffffffffffbfefefefefefefefefefefefefefefe0101010101"
			"0101010101010101010101",
			"00000000000000000000000000000000"},
		{"0200000000000000000000000000000000000000000000000000000000000000",
			"fdffffffffffffffffffffffffffffff", "faffffffffffffffffffffffffffffff"},
		{"0100000000000000040000000000000000000000000000000000000000000000",
			"e33594d7505e43b900000000000000003394d7505e4379cd01000000000000000000000000"
			"000000000000000000000001000000000000000000000000000000",
			"14000000000000005500000000000000"},
		{"0100000000000000040000000000000000000000000000000000000000000000",
			"e33594d7505e43b900000000000000003394d7505e4379cd01000000000000000000000000"
			"0000000000000000000000",
			"13000000000000000000000000000000"},
	};

	if (!make_tags)
		return; /* cmocka 1.1.5 says of what is skipped that it is not ok */
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		static const uint8_t ones[5 * POLY1305_BLOCK] = {1};
		struct poly1305_lane lanes[POLY1305_LANES] = {0};
		uint8_t data[4 * POLY1305_BLOCK];
		size_t n = from_hex(vectors[i][1], data, sizeof data), lane = i % POLY1305_LANES;

		for (size_t k = 0; k < POLY1305_LANES; k++)
			set_data(&lanes[k], ones, k + 2, 1);
		from_hex(vectors[i][0], lanes[lane].key, POLY1305_KEY);
		set_data(&lanes[lane], data, n / POLY1305_BLOCK, 0);
		make_tags(lanes);
		assert_hex_equal(lanes[lane].tag, POLY1305_BLOCK, vectors[i][2]);
	}
}

/* Bytes as they carry most: all ones, all zeros, and those beside. */
static void fill_edges(struct random *random, uint8_t *bytes, size_t n)
{
	static const uint8_t edges[] = {0, 0xff, 0xff, 0xff, 0xfb, 0xfc, 1, 5};

	for (size_t i = 0; i < n; i++)
		bytes[i] = random_below(random, 20) ? edges[random_below(random, sizeof edges)]
						    : (uint8_t)random_next(random);
}

/* Of zeros or of ones alone: a carry goes through the whole sum. */
static void fill_blocks(struct random *random, uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i += POLY1305_BLOCK)
		memset(bytes + i, random_below(random, 2) ? 0xff : 0, POLY1305_BLOCK);
}

static void check_poly1305_in_lanes_gives_what_it_gives_one_by_one(poly1305_lanes_fn *make_tags)
{
	enum { BLOCKS = 12 };
	struct random random = {78};
	uint8_t data[POLY1305_LANES][BLOCKS * POLY1305_BLOCK], wanted[POLY1305_BLOCK];
	struct poly1305_lane lanes[POLY1305_LANES];
	struct poly1305 poly;

	if (!make_tags)
		return; /* cmocka 1.1.5 says of what is skipped that it is not ok */
	for (int round = 0; round < 50000; round++) {
		for (int i = 0; i < POLY1305_LANES; i++) {
			struct poly1305_lane *lane = &lanes[i];

			fill_edges(&random, lane->key, sizeof lane->key);
			fill_edges(&random, data[i], sizeof data[i]);
			if (round % 4 == 1)
				fill_blocks(&random, data[i], sizeof data[i]);
			if (round % 2) {
				memset(lane->key, 0, 16);
				lane->key[0] = (uint8_t)(round % 3);
			}
			set_data(lane, data[i], random_below(&random, BLOCKS + 1),
				random_below(&random, 3));
			fill_edges(&random, lane->end, sizeof lane->end);
		}
		make_tags(lanes);
		for (int i = 0; i < POLY1305_LANES; i++) {
			poly1305_begin(&poly, lanes[i].key);
			poly1305_add(&poly, lanes[i].data, lanes[i].n_data);
			poly1305_add(&poly, lanes[i].end, lanes[i].n_end);
			poly1305_end(&poly, wanted);
			assert_memory_equal(lanes[i].tag, wanted, sizeof wanted);
		}
	}
}

static void poly1305_beside_chacha20_gives_what_rfc_8439_has(void **state)
{
	(void)state;
	check_poly1305_in_lanes_gives_what_rfc_8439_has(poly1305_lanes_of(AEAD_AVX2));
}

static void poly1305_in_lanes_gives_what_rfc_8439_has_with_avx512(void **state)
{
	(void)state;
	check_poly1305_in_lanes_gives_what_rfc_8439_has(poly1305_lanes_of(AEAD_AVX512));
}

static void poly1305_beside_chacha20_gives_what_it_gives_one_by_one(void **state)
{
	(void)state;
	check_poly1305_in_lanes_gives_what_it_gives_one_by_one(poly1305_lanes_of(AEAD_AVX2));
}

static void poly1305_in_lanes_gives_what_it_gives_one_by_one_with_avx512(void **state)
{
	(void)state;
	check_poly1305_in_lanes_gives_what_it_gives_one_by_one(poly1305_lanes_of(AEAD_AVX512));
}

#define ALL_WAYS(test)                                                                             \
	{#test ", portable", test, set_up_portable, tear_down, NULL},                              \
		{#test ", AVX2", test, set_up_avx2, tear_down, NULL},                              \
	{                                                                                          \
#test ", best", test, set_up_best, tear_down, NULL                                 \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ALL_WAYS(bursts_are_sealed_as_openssl_seals_each_message),
		ALL_WAYS(every_length_is_sealed_and_opened_as_openssl_does),
		ALL_WAYS(long_messages_are_sealed_and_opened_as_openssl_does),
		ALL_WAYS(one_bad_tag_spoils_no_neighbour_and_leaves_its_message_as_it_was),
		ALL_WAYS(any_changed_bit_of_a_tag_is_noticed_in_every_lane),
		ALL_WAYS(what_was_forgotten_is_set_up_again),
		ALL_WAYS(what_was_forgotten_is_not_on_the_stack),
		cmocka_unit_test(chacha20_in_lanes_gives_what_rfc_8439_has),
		cmocka_unit_test(chacha20_in_lanes_gives_the_blocks_one_by_one),
		cmocka_unit_test(chacha20_beside_poly1305_gives_what_rfc_8439_has),
		cmocka_unit_test(chacha20_beside_poly1305_gives_the_blocks_one_by_one),
		cmocka_unit_test(poly1305_beside_chacha20_gives_what_rfc_8439_has),
		cmocka_unit_test(poly1305_in_lanes_gives_what_rfc_8439_has_with_avx512),
		cmocka_unit_test(poly1305_beside_chacha20_gives_what_it_gives_one_by_one),
		cmocka_unit_test(poly1305_in_lanes_gives_what_it_gives_one_by_one_with_avx512),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
