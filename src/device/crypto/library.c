/* OpenSSL's ChaCha20 and Poly1305. Each thread has a context of its own. */
#include "device/crypto/library.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/endian.h"

enum {
	IV_SIZE = 16, /* of the library's ChaCha20: block counter, then the nonce */
	IV_COUNTER = 8, /* where WireGuard's counter begins in that */
};

struct library {
	EVP_CIPHER *cipher_type;
	EVP_CIPHER_CTX *cipher;
	EVP_MAC *mac_type;
	EVP_MAC_CTX *mac;
	uint8_t key[CHACHA20_KEY]; /* that is set up in the cipher */
	bool has_key;
};

static const uint8_t zero_key[CHACHA20_KEY];

struct library *library_new(void)
{
	struct library *library = calloc(1, sizeof *library);

	if (!library)
		return NULL;
	library->cipher_type = EVP_CIPHER_fetch(NULL, "ChaCha20", NULL);
	library->cipher = EVP_CIPHER_CTX_new();
	library->mac_type = EVP_MAC_fetch(NULL, "POLY1305", NULL);
	library->mac = library->mac_type ? EVP_MAC_CTX_new(library->mac_type) : NULL;
	if (!library->cipher_type || !library->cipher || !library->mac ||
		EVP_EncryptInit_ex2(
			library->cipher, library->cipher_type, zero_key, zero_key, NULL) != 1) {
		library_free(library);
		errno = EIO;
		return NULL;
	}
	return library;
}

void library_free(struct library *library)
{
	if (!library)
		return;
	EVP_CIPHER_CTX_free(library->cipher); /* wipes its copy of the key */
	EVP_CIPHER_free(library->cipher_type);
	EVP_MAC_CTX_free(library->mac);
	EVP_MAC_free(library->mac_type);
	explicit_bzero(library, sizeof *library);
	free(library);
}

/* In constant time, and faster than a loop over bytes. */
static bool same_key(const uint8_t a[CHACHA20_KEY], const uint8_t b[CHACHA20_KEY])
{
	uint64_t x[4], y[4];

	memcpy(x, a, sizeof x);
	memcpy(y, b, sizeof y);
	return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3])) == 0;
}

/* Returns the key if it must be set up, NULL if it is already. */
static const uint8_t *key_to_set(struct library *library, const uint8_t key[CHACHA20_KEY])
{
	if (library->has_key && same_key(library->key, key))
		return NULL;
	memcpy(library->key, key, sizeof library->key);
	library->has_key = true;
	return library->key;
}

int library_stream(struct library *library, const uint8_t key[CHACHA20_KEY], uint64_t counter,
	uint32_t block, const uint8_t *in, size_t n, uint8_t *out)
{
	struct le32 le_block = le32_make(block);
	struct le64 le_counter = le64_make(counter);
	uint8_t iv[IV_SIZE] = {0};
	int written;

	memcpy(iv, le_block.bytes, sizeof le_block.bytes);
	memcpy(iv + IV_COUNTER, le_counter.bytes, sizeof le_counter.bytes);
	if (n == 0)
		return 0;
	if (EVP_EncryptInit_ex2(library->cipher, NULL, key_to_set(library, key), iv, NULL) != 1 ||
		EVP_EncryptUpdate(library->cipher, out, &written, in, (int)n) != 1) {
		library_forget(library); /* it may have the key of before: the next one is set */
		return -EIO;
	}
	return 0;
}

int library_mac(struct library *library, const uint8_t key[POLY1305_KEY], const uint8_t *first,
	size_t n_first, const uint8_t *second, size_t n_second, uint8_t tag[POLY1305_BLOCK])
{
	size_t size;
	bool ok = EVP_MAC_init(library->mac, key, POLY1305_KEY, NULL) == 1;

	ok = ok && (n_first == 0 || EVP_MAC_update(library->mac, first, n_first) == 1);
	ok = ok && EVP_MAC_update(library->mac, second, n_second) == 1;
	ok = ok && EVP_MAC_final(library->mac, tag, &size, POLY1305_BLOCK) == 1 &&
	     size == POLY1305_BLOCK;
	return ok ? 0 : -EIO;
}

void library_forget(struct library *library)
{
	if (!library->has_key)
		return;
	/* The contexts keep copies of their own: overwritten by another key. */
	EVP_EncryptInit_ex2(library->cipher, NULL, zero_key, NULL, NULL);
	EVP_MAC_init(library->mac, zero_key, sizeof zero_key, NULL);
	explicit_bzero(library->key, sizeof library->key);
	library->has_key = false;
}
