/*
 * sealing [SECONDS]: what sealing and opening a message costs, a super-packet of 44 at a time: the
 * device's own way, with what this processor has and with less, against OpenSSL's AEAD message by
 * message. In turns, CPU time of one core, medians. One line each: name<TAB>value<TAB>unit.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "device/crypto/aead_batch.h"
#include "device/wireguard/messages.h"

enum {
	MESSAGES = 44,
	LENGTH_MAX = 1420,
	SLOT = LENGTH_MAX + sizeof(struct message_transport) + AEAD_TAG_SIZE,
	ALL = AEAD_ROOM + MESSAGES * SLOT + AEAD_ROOM,
	ROUNDS_MAX = 100000,
	WAYS = AEAD_BEST + 2, /* each kind of processor, and OpenSSL's AEAD */
	OPENSSL = WAYS - 1,
};

static const char *const names[WAYS] = {"OpenSSL's parts", "AVX2", "AVX-512", "OpenSSL's AEAD"};
static const size_t lengths[] = {LENGTH_MAX, 1000, 300, 80};

struct bench {
	EVP_CIPHER_CTX *cipher;
	struct aead_batch *batches[OPENSSL]; /* NULL: the processor is none of these */
	struct aead_key key;
	size_t length;
	uint8_t in[ALL], out[ALL], sealed[ALL];
	double took[2][WAYS][ROUNDS_MAX]; /* s: to seal, to open */
	int rounds;
};

static double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint8_t *slot(uint8_t bytes[ALL], int i)
{
	return bytes + AEAD_ROOM + (size_t)i * SLOT + sizeof(struct message_transport);
}

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void openssl_nonce(uint8_t nonce[12], int counter)
{
	memset(nonce, 0, 12);
	nonce[4] = (uint8_t)counter;
}

static void openssl_seal(struct bench *b)
{
	uint8_t nonce[12];
	int n;

	for (int i = 0; i < MESSAGES; i++) {
		uint8_t *out = slot(b->out, i);

		openssl_nonce(nonce, i);
		check(EVP_EncryptInit_ex2(b->cipher, NULL, NULL, nonce, NULL) == 1 &&
			EVP_EncryptUpdate(b->cipher, out, &n, slot(b->in, i), (int)b->length) ==
				1 &&
			EVP_EncryptFinal_ex(b->cipher, out + b->length, &n) == 1 &&
			EVP_CIPHER_CTX_ctrl(b->cipher, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_SIZE,
				out + b->length) == 1);
	}
}

static void openssl_open(struct bench *b)
{
	uint8_t nonce[12];
	int n;

	for (int i = 0; i < MESSAGES; i++) {
		uint8_t *data = slot(b->out, i);

		openssl_nonce(nonce, i);
		check(EVP_DecryptInit_ex2(b->cipher, NULL, NULL, nonce, NULL) == 1 &&
			EVP_CIPHER_CTX_ctrl(b->cipher, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_SIZE,
				data + b->length) == 1 &&
			EVP_DecryptUpdate(b->cipher, data, &n, data, (int)b->length) == 1 &&
			EVP_DecryptFinal_ex(b->cipher, data + b->length, &n) == 1);
	}
}

static void batch_seal(struct bench *b, struct aead_batch *batch)
{
	for (int i = 0; i < MESSAGES; i++)
		check(aead_batch_seal(batch, &b->key, (uint64_t)i, slot(b->in, i), b->length,
			      slot(b->out, i)) == 0);
	check(aead_batch_finish(batch) == 0);
}

static void batch_open(struct bench *b, struct aead_batch *batch)
{
	struct aead_sealed messages[AEAD_BATCH];

	for (int i = 0; i < MESSAGES; i += AEAD_BATCH) {
		int n = MESSAGES - i < AEAD_BATCH ? MESSAGES - i : AEAD_BATCH;

		for (int k = 0; k < n; k++)
			messages[k] = (struct aead_sealed){.data = slot(b->out, i + k),
				.n = b->length + AEAD_TAG_SIZE,
				.counter = (uint64_t)(i + k)};
		aead_batch_open(batch, &b->key, messages, (size_t)n);
		for (int k = 0; k < n; k++)
			check(messages[k].authentic);
	}
}

static bool exists(const struct bench *b, int way)
{
	return way == OPENSSL || b->batches[way];
}

static void check_sealed(struct bench *b)
{
	for (int i = 0; i < MESSAGES; i++)
		check(memcmp(slot(b->out, i), slot(b->sealed, i), b->length + AEAD_TAG_SIZE) == 0);
}

/* All ways once. All seal the same. */
static void measure_round(struct bench *b)
{
	for (int way = WAYS; way-- > 0;) {
		double began = cpu_seconds();

		if (!exists(b, way))
			continue;
		if (way == OPENSSL)
			openssl_seal(b);
		else
			batch_seal(b, b->batches[way]);
		b->took[0][way][b->rounds] = cpu_seconds() - began;
		if (way == OPENSSL)
			memcpy(b->sealed, b->out, sizeof b->sealed);
		check_sealed(b);
		began = cpu_seconds();
		if (way == OPENSSL)
			openssl_open(b);
		else
			batch_open(b, b->batches[way]);
		b->took[1][way][b->rounds] = cpu_seconds() - began;
	}
	b->rounds++;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median_ns(struct bench *b, int what, int way)
{
	qsort(b->took[what][way], (size_t)b->rounds, sizeof(double), compare);
	return b->took[what][way][b->rounds / 2] * 1e9 / MESSAGES;
}

static void report(struct bench *b)
{
	static const char *const what[] = {"seal", "open"};

	for (int k = 0; k < 2; k++) {
		double openssl = median_ns(b, k, OPENSSL);

		for (int way = 0; way < WAYS; way++)
			if (exists(b, way)) {
				double ns = median_ns(b, k, way);

				printf("%s %zu bytes, %s\t%.0f\tns\n", what[k], b->length,
					names[way], ns);
				printf("%s %zu bytes, %s / OpenSSL's AEAD\t%.2f\tx\n", what[k],
					b->length, names[way], ns / openssl);
			}
	}
}

static void set_up(struct bench *b)
{
	memset(b->key.bytes, 7, sizeof b->key.bytes);
	for (size_t i = 0; i < sizeof b->in; i++)
		b->in[i] = (uint8_t)i;
	b->cipher = EVP_CIPHER_CTX_new();
	check(EVP_EncryptInit_ex(
		      b->cipher, EVP_chacha20_poly1305(), NULL, b->key.bytes, b->key.bytes) == 1);
	for (int kind = 0; kind < OPENSSL; kind++)
		if (aead_processor((enum aead_processor)kind) == (enum aead_processor)kind)
			b->batches[kind] = aead_batch_new((enum aead_processor)kind);
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? strtod(argv[1], NULL) : 4;
	size_t n = sizeof lengths / sizeof *lengths;
	struct bench *b = calloc(1, sizeof *b);

	check(b && seconds > 0);
	set_up(b);
	for (size_t i = 0; i < n; i++) {
		double end = cpu_seconds() + seconds / (double)n;

		b->length = lengths[i];
		b->rounds = 0;
		while (b->rounds == 0 || (b->rounds < ROUNDS_MAX && cpu_seconds() < end))
			measure_round(b);
		report(b);
	}
	for (int kind = 0; kind < OPENSSL; kind++)
		aead_batch_free(b->batches[kind]);
	EVP_CIPHER_CTX_free(b->cipher);
	free(b);
	return 0;
}
