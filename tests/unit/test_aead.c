#include "hex.h"

#include <errno.h>

#include <openssl/evp.h>

#include "device/crypto/aead.h"
#include "device/crypto/chacha20.h"
#include "device/crypto/poly1305.h"
#include "random.h"

/* RFC 8439, A.5: its nonce begins with 32 zero bits, as WireGuard's do. */
static const char rfc_key[] = "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0";
static const uint64_t rfc_counter = 0x0807060504030201;
static const char rfc_ad[] = "f33388860000000000004e91";
static const char rfc_plain[] =
	"Internet-Drafts are draft documents valid for a maximum of six months and may be updated, "
	"replaced, or obsoleted by other documents at any time. It is inappropriate to use "
	"Internet-Drafts as reference material or to cite them other than as /\xe2\x80\x9cwork in "
	"progress./\xe2\x80\x9d";
static const char rfc_sealed[] = "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb2"
				 "4c6cfc18755d43eea09ee94e382d26b0bdb7b73c321b0100d4f03b7f355894cf"
				 "332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c855"
				 "9797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4"
				 "b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523e"
				 "af4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a"
				 "0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a10"
				 "49e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29"
				 "a6ad5cb4022b02709beead9d67890cbb22392336fea1851f38";

/* draft-irtf-cfrg-xchacha-03, A.3.1 */
static const char x_key[] = "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f";
static const char x_nonce[] = "404142434445464748494a4b4c4d4e4f5051525354555657";
static const char x_ad[] = "50515253c0c1c2c3c4c5c6c7";
static const char x_plain[] =
	"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
	"future, sunscreen would be it.";
static const char x_sealed[] = "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
			       "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
			       "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
			       "21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780a"
			       "cf49";

enum { ROOM = 512 };

static int set_up(void **state)
{
	*state = aead_new();
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	aead_free(*state);
	return 0;
}

static struct aead_key key_of(const char *hex)
{
	struct aead_key key;

	from_hex(hex, key.bytes, sizeof key.bytes);
	return key;
}

static void sealing_gives_what_rfc_8439_has(void **state)
{
	struct aead_key key = key_of(rfc_key);
	uint8_t ad[ROOM], out[ROOM];
	size_t ad_length = from_hex(rfc_ad, ad, sizeof ad), n = sizeof rfc_plain - 1;

	assert_int_equal(aead_seal(*state, &key, rfc_counter, ad, ad_length,
				 (const uint8_t *)rfc_plain, n, out),
		0);
	assert_hex_equal(out, n + AEAD_TAG_SIZE, rfc_sealed);
	/* In place. */
	assert_int_equal(
		aead_open(*state, &key, rfc_counter, ad, ad_length, out, n + AEAD_TAG_SIZE, out),
		0);
	assert_memory_equal(out, rfc_plain, n);
}

static void any_changed_bit_is_noticed(void **state)
{
	struct aead_key key = key_of(rfc_key);
	uint8_t ad[ROOM], sealed[ROOM], out[ROOM];
	size_t ad_length = from_hex(rfc_ad, ad, sizeof ad);
	size_t n = from_hex(rfc_sealed, sealed, sizeof sealed);

	for (size_t i = 0; i < 8 * n; i++) {
		sealed[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(
			aead_open(*state, &key, rfc_counter, ad, ad_length, sealed, n, out),
			-EBADMSG);
		sealed[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	assert_int_equal(
		aead_open(*state, &key, rfc_counter + 1, ad, ad_length, sealed, n, out), -EBADMSG);
	assert_int_equal(
		aead_open(*state, &key, rfc_counter, ad, ad_length - 1, sealed, n, out), -EBADMSG);
	assert_int_equal(
		aead_open(*state, &key, rfc_counter, ad, ad_length, sealed, n - 1, out), -EBADMSG);
	assert_int_equal(aead_open(*state, &key, rfc_counter, ad, ad_length, sealed, n, out), 0);
}

static void what_is_shorter_than_a_tag_is_not_authentic(void **state)
{
	struct aead_key key = key_of(rfc_key);
	uint8_t sealed[AEAD_TAG_SIZE] = {0}, out[1];

	for (size_t n = 0; n < AEAD_TAG_SIZE; n++)
		assert_int_equal(aead_open(*state, &key, 0, NULL, 0, sealed, n, out), -EBADMSG);
}

static void an_empty_message_is_a_tag(void **state)
{
	struct aead_key key = key_of(rfc_key);
	uint8_t tag[AEAD_TAG_SIZE], out[1];

	assert_int_equal(aead_seal(*state, &key, 7, NULL, 0, NULL, 0, tag), 0);
	assert_int_equal(aead_open(*state, &key, 7, NULL, 0, tag, sizeof tag, out), 0);
	tag[3] ^= 1;
	assert_int_equal(aead_open(*state, &key, 7, NULL, 0, tag, sizeof tag, out), -EBADMSG);
}

static void changing_keys_leaves_nothing_of_the_last(void **state)
{
	struct aead_key a = key_of(rfc_key), b = key_of(x_key);
	uint8_t first[ROOM], again[ROOM], out[ROOM];
	const uint8_t *plain = (const uint8_t *)x_plain;
	size_t n = sizeof x_plain - 1;

	aead_seal(*state, &a, 1, NULL, 0, plain, n, first);
	aead_seal(*state, &b, 1, NULL, 0, plain, n, out);
	assert_memory_not_equal(first, out, n);
	assert_int_equal(
		aead_open(*state, &a, 1, NULL, 0, out, n + AEAD_TAG_SIZE, again), -EBADMSG);
	assert_int_equal(aead_open(*state, &b, 1, NULL, 0, out, n + AEAD_TAG_SIZE, again), 0);
	aead_seal(*state, &a, 1, NULL, 0, plain, n, again);
	assert_memory_equal(first, again, n + AEAD_TAG_SIZE);
	aead_forget(*state);
	aead_seal(*state, &a, 1, NULL, 0, plain, n, again);
	assert_memory_equal(first, again, n + AEAD_TAG_SIZE);
	assert_int_equal(aead_open(*state, &a, 1, NULL, 0, again, n + AEAD_TAG_SIZE, out), 0);
	/* A key of zeros is a key like others after one was forgotten. */
	struct aead_key zero = {{0}};

	aead_forget(*state);
	aead_seal(*state, &zero, 1, NULL, 0, plain, n, first);
	assert_memory_not_equal(first, again, n);
	assert_int_equal(aead_open(*state, &zero, 1, NULL, 0, first, n + AEAD_TAG_SIZE, out), 0);
}

/* Bytes as they carry most: all ones, all zeros, and those beside. */
static void fill(struct random *random, uint8_t *bytes, size_t n)
{
	static const uint8_t edges[] = {0, 0xff, 0xff, 0xff, 0xfb, 0xfc, 1, 5};

	for (size_t i = 0; i < n; i++)
		bytes[i] = random_below(random, 20) ? edges[random_below(random, sizeof edges)]
						    : (uint8_t)random_next(random);
}

static void poly1305_gives_what_the_library_does(void **state)
{
	EVP_MAC *type = EVP_MAC_fetch(NULL, "POLY1305", NULL);
	EVP_MAC_CTX *mac = EVP_MAC_CTX_new(type);
	struct random random = {77};
	uint8_t key[POLY1305_KEY], data[8 * POLY1305_BLOCK], tag[POLY1305_BLOCK],
		wanted[POLY1305_BLOCK];
	struct poly1305 poly;
	size_t size;

	(void)state;
	for (int round = 0; round < 200000; round++) {
		size_t n = random_below(&random, 8) + 1;

		fill(&random, key, sizeof key);
		fill(&random, data, sizeof data);
		/* RFC 8439, A.3, 7 to 11: multiplied by 1 or 2, sums stay close to the modulus */
		if (round % 2) {
			memset(key, 0, 16);
			key[0] = (uint8_t)(round % 3);
		}
		poly1305_begin(&poly, key);
		poly1305_add(&poly, data, n);
		poly1305_end(&poly, tag);
		assert_int_equal(EVP_MAC_init(mac, key, sizeof key, NULL), 1);
		assert_int_equal(EVP_MAC_update(mac, data, n * POLY1305_BLOCK), 1);
		assert_int_equal(EVP_MAC_final(mac, wanted, &size, sizeof wanted), 1);
		assert_memory_equal(tag, wanted, sizeof tag);
	}
	EVP_MAC_CTX_free(mac);
	EVP_MAC_free(type);
}

static void hchacha20_gives_what_the_draft_has(void **state)
{
	/* draft-irtf-cfrg-xchacha-03, 2.2.1 */
	struct aead_key key =
		key_of("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
	struct aead_key subkey;
	uint8_t nonce[16];

	(void)state;
	from_hex("000000090000004a0000000031415927", nonce, sizeof nonce);
	hchacha20(key.bytes, nonce, subkey.bytes);
	assert_hex_equal(subkey.bytes, sizeof subkey.bytes,
		"82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc");
}

static void sealing_with_a_long_nonce_gives_what_the_draft_has(void **state)
{
	struct aead_key key = key_of(x_key);
	uint8_t nonce[AEAD_XNONCE_SIZE], ad[ROOM], out[ROOM];
	size_t ad_length = from_hex(x_ad, ad, sizeof ad), n = sizeof x_plain - 1;

	from_hex(x_nonce, nonce, sizeof nonce);
	assert_int_equal(
		aead_xseal(*state, &key, nonce, ad, ad_length, (const uint8_t *)x_plain, n, out),
		0);
	assert_hex_equal(out, n + AEAD_TAG_SIZE, x_sealed);
	assert_int_equal(
		aead_xopen(*state, &key, nonce, ad, ad_length, out, n + AEAD_TAG_SIZE, out), 0);
	assert_memory_equal(out, x_plain, n);
	nonce[0] ^= 1;
	assert_int_equal(
		aead_xopen(*state, &key, nonce, ad, ad_length, out, n + AEAD_TAG_SIZE, out),
		-EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sealing_gives_what_rfc_8439_has),
		cmocka_unit_test(any_changed_bit_is_noticed),
		cmocka_unit_test(what_is_shorter_than_a_tag_is_not_authentic),
		cmocka_unit_test(an_empty_message_is_a_tag),
		cmocka_unit_test(changing_keys_leaves_nothing_of_the_last),
		cmocka_unit_test(poly1305_gives_what_the_library_does),
		cmocka_unit_test(hchacha20_gives_what_the_draft_has),
		cmocka_unit_test(sealing_with_a_long_nonce_gives_what_the_draft_has),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
