#include "test.h"

#include <errno.h>

#include "device/wireguard/cookie.h"
#include "device/wireguard/noise.h"
#include "vectors/handshake.h"

enum { N_VECTORS = sizeof handshake_vectors / sizeof *handshake_vectors };

/* The next bytes that the code under test takes for random; NULL: really random ones. */
static const uint8_t *planned_random;

static int random_as_planned(void *bytes, size_t length)
{
	if (!planned_random)
		return noise_random(bytes, length);
	memcpy(bytes, planned_random, length);
	return 0;
}

/* Both ends of a handshake. */
struct ends {
	struct noise initiator, responder;
	struct noise_remote of_responder, of_initiator; /* the one that each talks to */
	struct key preshared;
	struct handshake i, r;
};

static void ends_init(struct ends *ends, const struct handshake_vector *v)
{
	struct key key;

	memset(ends, 0, sizeof *ends);
	planned_random = NULL;
	assert_int_equal(noise_init(&ends->initiator, random_as_planned), 0);
	assert_int_equal(noise_init(&ends->responder, random_as_planned), 0);
	memcpy(key.bytes, v->initiator_static, KEY_SIZE);
	assert_int_equal(noise_set_private_key(&ends->initiator, &key), 0);
	memcpy(key.bytes, v->responder_static, KEY_SIZE);
	assert_int_equal(noise_set_private_key(&ends->responder, &key), 0);
	memcpy(ends->preshared.bytes, v->preshared, KEY_SIZE);
	ends->of_responder.public_key = ends->responder.public_key;
	ends->of_initiator.public_key = ends->initiator.public_key;
	ends->of_responder.preshared = ends->of_initiator.preshared = &ends->preshared;
}

static void ends_free(struct ends *ends)
{
	handshake_wipe(&ends->i);
	handshake_wipe(&ends->r);
	noise_free(&ends->initiator);
	noise_free(&ends->responder);
	planned_random = NULL;
}

static const uint8_t some_time[TIMESTAMP_SIZE] = {0x40, 1, 2, 3};

static void create_initiation(struct ends *ends, struct message_initiation *message)
{
	assert_int_equal(noise_create_initiation(&ends->initiator, &ends->of_responder, 1,
				 some_time, &ends->i, message),
		0);
}

static void consume_initiation(struct ends *ends, const struct message_initiation *message)
{
	uint8_t timestamp[TIMESTAMP_SIZE];

	assert_int_equal(noise_open_initiation(&ends->responder, message, &ends->r), 0);
	assert_true(key_equal(&ends->r.remote_static, &ends->initiator.public_key));
	assert_int_equal(noise_prove_initiation(&ends->responder, &ends->of_initiator, message,
				 &ends->r, timestamp),
		0);
	assert_memory_equal(timestamp, some_time, TIMESTAMP_SIZE);
}

static void the_initiator_says_what_the_independent_implementation_says(void **state)
{
	(void)state;
	for (int n = 0; n < N_VECTORS; n++) {
		const struct handshake_vector *v = &handshake_vectors[n];
		struct message_initiation initiation;
		struct message_response response;
		struct aead_key send, receive;
		struct cookie_keys keys;
		struct cookie_jar jar = {0};
		struct ends ends;

		ends_init(&ends, v);
		planned_random = v->initiator_ephemeral;
		assert_int_equal(noise_create_initiation(&ends.initiator, &ends.of_responder,
					 0x11223344, v->timestamp, &ends.i, &initiation),
			0);
		cookie_keys_init(&keys, ends.initiator.blake2s, &ends.responder.public_key);
		cookie_add_macs(&jar, &keys, ends.initiator.blake2s, (uint8_t *)&initiation,
			sizeof initiation, 1);
		assert_memory_equal(&initiation, v->initiation, sizeof initiation);

		memcpy(&response, v->response, sizeof response);
		assert_int_equal(noise_consume_response(
					 &ends.initiator, &ends.of_responder, &response, &ends.i),
			0);
		assert_int_equal(ends.i.remote_index, 0x55667788);
		assert_int_equal(noise_derive(&ends.initiator, &ends.i, true, &send, &receive), 0);
		assert_memory_equal(send.bytes, v->initiator_sends, sizeof send.bytes);
		assert_memory_equal(receive.bytes, v->responder_sends, sizeof receive.bytes);
		ends_free(&ends);
	}
}

static void the_responder_says_what_the_independent_implementation_says(void **state)
{
	(void)state;
	for (int n = 0; n < N_VECTORS; n++) {
		const struct handshake_vector *v = &handshake_vectors[n];
		struct message_initiation initiation;
		struct message_response response;
		uint8_t timestamp[TIMESTAMP_SIZE];
		struct aead_key send, receive;
		struct cookie_keys keys;
		struct cookie_jar jar = {0};
		struct ends ends;

		ends_init(&ends, v);
		memcpy(&initiation, v->initiation, sizeof initiation);
		assert_int_equal(noise_open_initiation(&ends.responder, &initiation, &ends.r), 0);
		assert_true(key_equal(&ends.r.remote_static, &ends.initiator.public_key));
		assert_int_equal(noise_prove_initiation(&ends.responder, &ends.of_initiator,
					 &initiation, &ends.r, timestamp),
			0);
		assert_memory_equal(timestamp, v->timestamp, TIMESTAMP_SIZE);

		planned_random = v->responder_ephemeral;
		assert_int_equal(noise_create_response(&ends.responder, &ends.of_initiator,
					 0x55667788, &ends.r, &response),
			0);
		cookie_keys_init(&keys, ends.responder.blake2s, &ends.initiator.public_key);
		cookie_add_macs(&jar, &keys, ends.responder.blake2s, (uint8_t *)&response,
			sizeof response, 1);
		assert_memory_equal(&response, v->response, sizeof response);
		assert_int_equal(noise_derive(&ends.responder, &ends.r, false, &send, &receive), 0);
		assert_memory_equal(receive.bytes, v->initiator_sends, sizeof send.bytes);
		assert_memory_equal(send.bytes, v->responder_sends, sizeof receive.bytes);
		ends_free(&ends);
	}
}

static void transport_messages_are_those_of_the_independent_implementation(void **state)
{
	(void)state;
	for (int n = 0; n < N_VECTORS; n++) {
		const struct handshake_vector *v = &handshake_vectors[n];
		const struct message_transport *header = (const void *)v->transport;
		struct aead *aead = aead_new();
		struct aead_key key;
		uint8_t out[sizeof v->transport];
		size_t sealed = sizeof v->transport - sizeof *header;

		assert_int_equal(
			messages_type(v->transport, sizeof v->transport), MESSAGE_TRANSPORT);
		assert_int_equal(le32_get(header->receiver), 0x55667788);
		memcpy(key.bytes, v->initiator_sends, sizeof key.bytes);
		assert_int_equal(aead_open(aead, &key, le64_get(header->counter), NULL, 0,
					 v->transport + sizeof *header, sealed, out),
			0);
		assert_memory_equal(out, v->packet, sizeof v->packet);
		memcpy(key.bytes, v->responder_sends, sizeof key.bytes);
		assert_int_equal(aead_open(aead, &key, 0, NULL, 0, v->keepalive + sizeof *header,
					 sizeof v->keepalive - sizeof *header, out),
			0);
		aead_free(aead);
	}
}

static void any_changed_bit_of_an_initiation_is_noticed(void **state)
{
	/* All but type and sender, which only mac1 covers, and the macs. */
	size_t begin = offsetof(struct message_initiation, ephemeral);
	size_t end = offsetof(struct message_initiation, macs);
	struct message_initiation message;
	uint8_t *bytes = (uint8_t *)&message, timestamp[TIMESTAMP_SIZE];
	struct ends ends;

	(void)state;
	ends_init(&ends, &handshake_vectors[1]);
	create_initiation(&ends, &message);
	for (size_t i = begin; i < end; i++) {
		bytes[i] ^= 0x10;
		assert_true(noise_open_initiation(&ends.responder, &message, &ends.r) == -EBADMSG ||
			    noise_prove_initiation(&ends.responder, &ends.of_initiator, &message,
				    &ends.r, timestamp) == -EBADMSG);
		bytes[i] ^= 0x10;
	}
	consume_initiation(&ends, &message);
	ends_free(&ends);
}

static void a_forged_response_does_not_spoil_the_handshake(void **state)
{
	size_t begin = offsetof(struct message_response, ephemeral);
	size_t end = offsetof(struct message_response, macs);
	struct message_initiation initiation;
	struct message_response response;
	uint8_t *bytes = (uint8_t *)&response;
	struct aead_key i_send, i_receive, r_send, r_receive;
	struct ends ends;

	(void)state;
	ends_init(&ends, &handshake_vectors[1]);
	create_initiation(&ends, &initiation);
	consume_initiation(&ends, &initiation);
	assert_int_equal(
		noise_create_response(&ends.responder, &ends.of_initiator, 2, &ends.r, &response),
		0);
	for (size_t i = begin; i < end; i++) {
		bytes[i] ^= 0x10;
		assert_int_equal(noise_consume_response(
					 &ends.initiator, &ends.of_responder, &response, &ends.i),
			-EBADMSG);
		bytes[i] ^= 0x10;
	}
	assert_int_equal(
		noise_consume_response(&ends.initiator, &ends.of_responder, &response, &ends.i), 0);
	noise_derive(&ends.initiator, &ends.i, true, &i_send, &i_receive);
	noise_derive(&ends.responder, &ends.r, false, &r_send, &r_receive);
	assert_memory_equal(i_send.bytes, r_receive.bytes, sizeof i_send.bytes);
	assert_memory_equal(r_send.bytes, i_receive.bytes, sizeof i_send.bytes);
	ends_free(&ends);
}

static void without_the_same_preshared_key_there_is_no_session(void **state)
{
	struct message_initiation initiation;
	struct message_response response;
	struct ends ends;

	(void)state;
	ends_init(&ends, &handshake_vectors[1]);
	ends.of_initiator.preshared = NULL;
	create_initiation(&ends, &initiation);
	consume_initiation(&ends, &initiation);
	noise_create_response(&ends.responder, &ends.of_initiator, 2, &ends.r, &response);
	assert_int_equal(
		noise_consume_response(&ends.initiator, &ends.of_responder, &response, &ends.i),
		-EBADMSG);
	ends_free(&ends);
}

static void no_preshared_key_is_one_of_zeros(void **state)
{
	struct message_initiation initiation;
	struct message_response response;
	struct ends ends;

	(void)state;
	ends_init(&ends, &handshake_vectors[0]);
	assert_true(key_is_zero(&ends.preshared));
	ends.of_initiator.preshared = NULL;
	create_initiation(&ends, &initiation);
	consume_initiation(&ends, &initiation);
	noise_create_response(&ends.responder, &ends.of_initiator, 2, &ends.r, &response);
	assert_int_equal(
		noise_consume_response(&ends.initiator, &ends.of_responder, &response, &ends.i), 0);
	ends_free(&ends);
}

static void the_static_keys_agree_once_when_a_handshake_first_needs_it(void **state)
{
	struct message_initiation message;
	struct key agreed;
	struct ends ends;

	(void)state;
	ends_init(&ends, &handshake_vectors[0]);
	assert_true(key_is_zero(&ends.of_responder.static_static));
	create_initiation(&ends, &message);
	consume_initiation(&ends, &message);
	agreed = ends.of_responder.static_static;
	assert_false(key_is_zero(&agreed));
	assert_true(key_equal(&agreed, &ends.of_initiator.static_static));
	create_initiation(&ends, &message);
	assert_true(key_equal(&agreed, &ends.of_responder.static_static));
	ends_free(&ends);
}

static void keys_of_low_order_make_no_handshake(void **state)
{
	struct message_initiation message;
	struct message_response response = {.type = MESSAGE_RESPONSE};
	struct noise_remote low = {.public_key = {{1}}};
	uint8_t timestamp[TIMESTAMP_SIZE];
	struct ends ends;

	(void)state;
	ends_init(&ends, &handshake_vectors[0]);
	assert_int_equal(
		noise_create_initiation(&ends.initiator, &low, 1, some_time, &ends.i, &message),
		-EINVAL);
	assert_true(key_is_zero(&low.static_static));
	create_initiation(&ends, &message);
	assert_int_equal(noise_open_initiation(&ends.responder, &message, &ends.r), 0);
	assert_int_equal(
		noise_prove_initiation(&ends.responder, &low, &message, &ends.r, timestamp),
		-EBADMSG);
	assert_int_equal(
		noise_consume_response(&ends.initiator, &ends.of_responder, &response, &ends.i),
		-EBADMSG);
	memset(message.ephemeral, 0, sizeof message.ephemeral);
	assert_int_equal(noise_open_initiation(&ends.responder, &message, &ends.r), -EBADMSG);
	ends_free(&ends);
}

static void without_a_private_key_there_are_no_handshakes(void **state)
{
	struct message_initiation message;
	struct key none = {{0}};
	struct ends ends;

	(void)state;
	ends_init(&ends, &handshake_vectors[0]);
	create_initiation(&ends, &message);
	assert_int_equal(noise_set_private_key(&ends.initiator, &none), 0);
	assert_int_equal(noise_set_private_key(&ends.responder, &none), 0);
	assert_int_equal(noise_open_initiation(&ends.responder, &message, &ends.r), -ENOKEY);
	assert_int_equal(noise_create_initiation(&ends.initiator, &ends.of_responder, 1, some_time,
				 &ends.i, &message),
		-ENOKEY);
	ends_free(&ends);
}

static void secrets_are_wiped_when_the_keys_are_derived(void **state)
{
	static const struct handshake zero;
	struct message_initiation initiation;
	struct message_response response;
	struct aead_key send, receive;
	struct ends ends;

	(void)state;
	ends_init(&ends, &handshake_vectors[1]);
	create_initiation(&ends, &initiation);
	consume_initiation(&ends, &initiation);
	noise_create_response(&ends.responder, &ends.of_initiator, 2, &ends.r, &response);
	noise_derive(&ends.responder, &ends.r, false, &send, &receive);
	assert_memory_equal(&ends.r, &zero, sizeof zero);
	ends_free(&ends);
}

static void later_timestamps_are_greater_and_do_not_tell_the_time_exactly(void **state)
{
	uint8_t a[TIMESTAMP_SIZE], b[TIMESTAMP_SIZE];
	const uint64_t second = 1000000000, now = 1700000000 * second;
	static const uint8_t of_1970[TIMESTAMP_SIZE] = {0x40, 0, 0, 0, 0, 0, 0, 0x0a};

	(void)state;
	noise_timestamp(0, a);
	assert_memory_equal(a, of_1970, TIMESTAMP_SIZE);
	noise_timestamp(now, a);
	noise_timestamp(now + 1000000, b);
	assert_memory_equal(a, b, TIMESTAMP_SIZE);
	for (uint64_t t = now; t < now + 3 * second; t += second / 50) {
		noise_timestamp(t, a);
		noise_timestamp(t + second / 50, b);
		assert_true(memcmp(a, b, TIMESTAMP_SIZE) < 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_initiator_says_what_the_independent_implementation_says),
		cmocka_unit_test(the_responder_says_what_the_independent_implementation_says),
		cmocka_unit_test(transport_messages_are_those_of_the_independent_implementation),
		cmocka_unit_test(any_changed_bit_of_an_initiation_is_noticed),
		cmocka_unit_test(a_forged_response_does_not_spoil_the_handshake),
		cmocka_unit_test(without_the_same_preshared_key_there_is_no_session),
		cmocka_unit_test(no_preshared_key_is_one_of_zeros),
		cmocka_unit_test(the_static_keys_agree_once_when_a_handshake_first_needs_it),
		cmocka_unit_test(keys_of_low_order_make_no_handshake),
		cmocka_unit_test(without_a_private_key_there_are_no_handshakes),
		cmocka_unit_test(secrets_are_wiped_when_the_keys_are_derived),
		cmocka_unit_test(later_timestamps_are_greater_and_do_not_tell_the_time_exactly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
