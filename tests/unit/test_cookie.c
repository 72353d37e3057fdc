#include "test.h"

#include <arpa/inet.h>
#include <errno.h>

#include "device/wireguard/cookie.h"
#include "vectors/handshake.h"

static const struct handshake_vector *const vector = &handshake_vectors[0];

/* First the responder's secret, then nonces. */
static int n_random;

static int random_of_vector(void *bytes, size_t length)
{
	if (n_random++ == 0)
		memcpy(bytes, vector->cookie_secret, length);
	else
		memcpy(bytes, vector->cookie_nonce, length);
	return 0;
}

struct fixture {
	struct blake2s *blake2s;
	struct aead *aead;
	struct cookie_checker checker; /* the responder's */
	struct cookie_keys keys; /* of the responder, as the initiator has them */
	struct cookie_jar jar;
	struct udp_endpoint source;
};

static int set_up(void **state)
{
	static struct fixture f;
	struct key private_key, public_key;

	memset(&f, 0, sizeof f);
	n_random = 0;
	f.blake2s = blake2s_new();
	f.aead = aead_new();
	memcpy(private_key.bytes, vector->responder_static, KEY_SIZE);
	key_derive_public(&private_key, &public_key);
	cookie_checker_init(&f.checker, f.blake2s, &public_key, random_of_vector);
	cookie_keys_init(&f.keys, f.blake2s, &public_key);
	f.source.v4.sin_family = AF_INET;
	memcpy(&f.source.v4.sin_addr, vector->source, 4);
	memcpy(&f.source.v4.sin_port, vector->source + 4, 2);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	blake2s_free(f->blake2s);
	aead_free(f->aead);
	return 0;
}

enum { NOW = 1000000, LENGTH = sizeof(struct message_initiation) };

static bool mac1(struct fixture *f, const uint8_t *message)
{
	return cookie_check_mac1(&f->checker.keys, f->blake2s, message, LENGTH);
}

static bool mac2(struct fixture *f, const uint8_t *message, uint64_t now)
{
	return cookie_check_mac2(&f->checker, f->blake2s, message, LENGTH, &f->source, now);
}

static void replies_are_those_of_the_independent_implementation(void **state)
{
	struct fixture *f = *state;
	struct message_cookie reply;

	assert_int_equal(cookie_create_reply(&f->checker, f->blake2s, f->aead, vector->initiation,
				 LENGTH, &f->source, NOW, &reply),
		0);
	assert_memory_equal(&reply, vector->cookie_reply, sizeof reply);
}

static void mac2_is_that_of_the_independent_implementation(void **state)
{
	struct fixture *f = *state;
	struct message_cookie reply;
	uint8_t message[LENGTH];

	memcpy(message, vector->initiation, LENGTH);
	assert_int_equal(cookie_add_macs(&f->jar, &f->keys, f->blake2s, message, LENGTH, NOW), 0);
	assert_memory_equal(message, vector->initiation, LENGTH);
	memcpy(&reply, vector->cookie_reply, sizeof reply);
	assert_int_equal(cookie_consume_reply(&f->jar, &f->keys, f->aead, &reply, NOW), 0);
	assert_int_equal(cookie_add_macs(&f->jar, &f->keys, f->blake2s, message, LENGTH, NOW), 0);
	assert_memory_equal(message, vector->initiation_with_cookie, LENGTH);
	assert_true(mac1(f, message));
	assert_true(mac2(f, message, NOW));
	assert_true(mac1(f, vector->initiation));
	assert_false(mac2(f, vector->initiation, NOW));
}

static void any_changed_bit_spoils_mac1(void **state)
{
	struct fixture *f = *state;
	uint8_t message[LENGTH];

	memcpy(message, vector->initiation, LENGTH);
	for (size_t i = 0; i < LENGTH - BLAKE2S_MAC_SIZE; i++) {
		message[i] ^= 4;
		assert_false(mac1(f, message));
		message[i] ^= 4;
	}
	assert_true(mac1(f, message));
	for (size_t i = 0; i <= sizeof(struct message_macs); i++)
		assert_false(cookie_check_mac1(&f->checker.keys, f->blake2s, message, i));
}

static void a_cookie_is_for_one_address_and_port(void **state)
{
	struct fixture *f = *state;

	n_random = 0;
	assert_true(mac2(f, vector->initiation_with_cookie, NOW));
	f->source.v4.sin_port ^= htons(1);
	assert_false(mac2(f, vector->initiation_with_cookie, NOW));
	f->source.v4.sin_port ^= htons(1);
	f->source.v4.sin_addr.s_addr ^= htonl(1);
	assert_false(mac2(f, vector->initiation_with_cookie, NOW));
	f->source.v4.sin_addr.s_addr ^= htonl(1);
	assert_true(mac2(f, vector->initiation_with_cookie, NOW));
}

static void a_cookie_ends_with_the_secret(void **state)
{
	struct fixture *f = *state;

	assert_true(mac2(f, vector->initiation_with_cookie, NOW));
	assert_true(mac2(f, vector->initiation_with_cookie, NOW + COOKIE_SECRET_LIFETIME_MS - 1));
	assert_false(mac2(f, vector->initiation_with_cookie, NOW + COOKIE_SECRET_LIFETIME_MS));
}

static void the_initiator_stops_using_a_cookie_before_it_ends(void **state)
{
	struct fixture *f = *state;
	struct message_cookie reply;
	uint8_t message[LENGTH];
	uint64_t end = NOW + COOKIE_SECRET_LIFETIME_MS - COOKIE_LATENCY_MS;

	memcpy(message, vector->initiation, LENGTH);
	memcpy(&reply, vector->cookie_reply, sizeof reply);
	cookie_add_macs(&f->jar, &f->keys, f->blake2s, message, LENGTH, NOW);
	cookie_consume_reply(&f->jar, &f->keys, f->aead, &reply, NOW);
	cookie_add_macs(&f->jar, &f->keys, f->blake2s, message, LENGTH, end - 1);
	assert_memory_equal(message, vector->initiation_with_cookie, LENGTH);
	cookie_add_macs(&f->jar, &f->keys, f->blake2s, message, LENGTH, end);
	assert_memory_equal(message, vector->initiation, LENGTH);
}

static void a_reply_answers_only_what_was_sent_last_and_only_once(void **state)
{
	struct fixture *f = *state;
	struct message_cookie reply;
	uint8_t message[LENGTH];

	memcpy(&reply, vector->cookie_reply, sizeof reply);
	assert_int_equal(cookie_consume_reply(&f->jar, &f->keys, f->aead, &reply, NOW), -EBADMSG);
	memcpy(message, vector->initiation, LENGTH);
	message[20] ^= 1;
	cookie_add_macs(&f->jar, &f->keys, f->blake2s, message, LENGTH, NOW);
	assert_int_equal(cookie_consume_reply(&f->jar, &f->keys, f->aead, &reply, NOW), -EBADMSG);
	message[20] ^= 1;
	cookie_add_macs(&f->jar, &f->keys, f->blake2s, message, LENGTH, NOW);
	reply.sealed_cookie[0] ^= 1;
	assert_int_equal(cookie_consume_reply(&f->jar, &f->keys, f->aead, &reply, NOW), -EBADMSG);
	reply.sealed_cookie[0] ^= 1;
	assert_int_equal(cookie_consume_reply(&f->jar, &f->keys, f->aead, &reply, NOW), 0);
	assert_int_equal(cookie_consume_reply(&f->jar, &f->keys, f->aead, &reply, NOW), -EBADMSG);
}

static void addresses_of_both_families_are_bound_with_their_port(void **state)
{
	struct udp_endpoint six = {.v6 = {.sin6_family = AF_INET6, .sin6_port = htons(0x1234)}};
	struct udp_endpoint none = {.family = AF_UNSPEC};
	uint8_t bytes[UDP_ENDPOINT_BYTES_MAX];
	struct fixture *f = *state;

	inet_pton(AF_INET6, "2001:db8::7", &six.v6.sin6_addr);
	assert_int_equal(udp_endpoint_bytes(&six, bytes), 18);
	assert_int_equal(bytes[15], 7);
	assert_int_equal(bytes[16], 0x12);
	assert_int_equal(udp_endpoint_bytes(&f->source, bytes), 6);
	assert_memory_equal(bytes, vector->source, 6);
	assert_int_equal(udp_endpoint_bytes(&none, bytes), 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(replies_are_those_of_the_independent_implementation),
		test(mac2_is_that_of_the_independent_implementation),
		test(any_changed_bit_spoils_mac1),
		test(a_cookie_is_for_one_address_and_port),
		test(a_cookie_ends_with_the_secret),
		test(the_initiator_stops_using_a_cookie_before_it_ends),
		test(a_reply_answers_only_what_was_sent_last_and_only_once),
		test(addresses_of_both_families_are_bound_with_their_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
