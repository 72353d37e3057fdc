/* The cryptography of the handshake. Runs in the control thread. */
#include "device/wireguard/noise.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* 5.4, CONSTRUCTION and IDENTIFIER */
static const char construction[] = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
static const char identifier[] = "WireGuard v1 zx2c4 Jason@zx2c4.com";

/* Every key of a handshake seals one thing only. */
enum { FIRST = 0 };

int noise_random(void *bytes, size_t length)
{
	return getrandom(bytes, length, 0) == (ssize_t)length ? 0 : -EIO;
}

/* One agreement and one of everything else, for the library loads things when it first uses them.
 */
static int warm_up(struct noise *noise)
{
	struct key private_key, public_key, shared;
	struct curve_key *key = NULL;
	int error = noise->random(private_key.bytes, KEY_SIZE);

	if (!error) {
		key = curve_key_new(&private_key, &public_key);
		error = key ? curve_agree(key, &public_key, &shared) : -EIO;
	}
	curve_key_free(key);
	key_wipe(&private_key);
	key_wipe(&shared);
	return error;
}

int noise_init(struct noise *noise, noise_random_fn *random)
{
	int error;

	*noise = (struct noise){.random = random};
	noise->blake2s = blake2s_new();
	noise->aead = aead_new();
	if (!noise->blake2s || !noise->aead) {
		noise_free(noise);
		return -EIO;
	}
	error = blake2s_hash(noise->blake2s, construction, sizeof construction - 1, NULL, 0,
		noise->initial_chaining_key);
	if (!error)
		error = blake2s_hash(noise->blake2s, noise->initial_chaining_key, BLAKE2S_SIZE,
			identifier, sizeof identifier - 1, noise->initial_hash);
	if (!error)
		error = warm_up(noise);
	if (error)
		noise_free(noise);
	return error;
}

void noise_free(struct noise *noise)
{
	blake2s_free(noise->blake2s);
	aead_free(noise->aead);
	curve_key_free(noise->private_key);
	*noise = (struct noise){0};
}

int noise_set_private_key(struct noise *noise, const struct key *private_key)
{
	struct curve_key *key = NULL;
	struct key public_key = {0};

	if (!key_is_zero(private_key)) {
		key = curve_key_new(private_key, &public_key);
		if (!key)
			return -EIO;
	}
	curve_key_free(noise->private_key);
	noise->private_key = key;
	noise->public_key = public_key;
	return 0;
}

int noise_agree_statics(struct noise *noise, struct noise_remote *remote)
{
	int error;

	if (!key_is_zero(&remote->static_static))
		return 0;
	error = curve_agree(noise->private_key, &remote->public_key, &remote->static_static);
	if (error)
		key_wipe(&remote->static_static);
	return error;
}

/* H = HASH(H || data) */
static int mix_hash(
	struct noise *noise, struct handshake *handshake, const void *data, size_t length)
{
	return blake2s_hash(
		noise->blake2s, handshake->hash, BLAKE2S_SIZE, data, length, handshake->hash);
}

/* C = KDF1(C, input), or (C, key) = KDF2(C, input) */
static int mix_key(struct noise *noise, struct handshake *handshake, const struct key *input,
	struct aead_key *key)
{
	return blake2s_kdf(noise->blake2s, handshake->chaining_key, input->bytes, KEY_SIZE,
		handshake->chaining_key, key ? key->bytes : NULL, NULL);
}

/* The same with the result of an agreement. */
static int mix_agreement(struct noise *noise, struct handshake *handshake,
	const struct curve_key *own, const struct key *remote, struct aead_key *key)
{
	struct key shared;
	int error = curve_agree(own, remote, &shared);

	if (!error)
		error = mix_key(noise, handshake, &shared, key);
	key_wipe(&shared);
	return error;
}

/* C = KDF1(C, E), H = HASH(H || E) */
static int mix_ephemeral(
	struct noise *noise, struct handshake *handshake, const struct key *ephemeral)
{
	int error = mix_key(noise, handshake, ephemeral, NULL);

	return error ? error : mix_hash(noise, handshake, ephemeral->bytes, KEY_SIZE);
}

/* sealed = AEAD(key, 0, plain, H), H = HASH(H || sealed) */
static int seal(struct noise *noise, struct handshake *handshake, const struct aead_key *key,
	const uint8_t *plain, size_t length, uint8_t *sealed)
{
	int error = aead_seal(
		noise->aead, key, FIRST, handshake->hash, BLAKE2S_SIZE, plain, length, sealed);

	return error ? error : mix_hash(noise, handshake, sealed, length + AEAD_TAG_SIZE);
}

static int open_sealed(struct noise *noise, struct handshake *handshake, const struct aead_key *key,
	const uint8_t *sealed, size_t length, uint8_t *plain)
{
	int error = aead_open(
		noise->aead, key, FIRST, handshake->hash, BLAKE2S_SIZE, sealed, length, plain);

	return error ? error : mix_hash(noise, handshake, sealed, length);
}

static int begin(struct noise *noise, struct handshake *handshake, const struct key *responder)
{
	handshake_wipe(handshake);
	memcpy(handshake->chaining_key, noise->initial_chaining_key, BLAKE2S_SIZE);
	memcpy(handshake->hash, noise->initial_hash, BLAKE2S_SIZE);
	return mix_hash(noise, handshake, responder->bytes, KEY_SIZE);
}

static int make_ephemeral(struct noise *noise, struct handshake *handshake, uint8_t *public_bytes)
{
	struct key private_key, public_key;
	int error = noise->random(private_key.bytes, KEY_SIZE);

	if (!error) {
		handshake->ephemeral = curve_key_new(&private_key, &public_key);
		error = handshake->ephemeral ? 0 : -EIO;
	}
	key_wipe(&private_key);
	if (error)
		return error;
	memcpy(public_bytes, public_key.bytes, KEY_SIZE);
	return mix_ephemeral(noise, handshake, &public_key);
}

/* What an agreement, or a tag, is worth that somebody else has sent. */
static int as_forged(int error)
{
	return error == -EINVAL ? -EBADMSG : error;
}

int noise_create_initiation(struct noise *noise, struct noise_remote *remote, uint32_t sender,
	const uint8_t timestamp[TIMESTAMP_SIZE], struct handshake *handshake,
	struct message_initiation *message)
{
	struct aead_key key;
	int error;

	if (!noise->private_key)
		return -ENOKEY;
	error = noise_agree_statics(noise, remote);
	if (error)
		return error;
	*message = (struct message_initiation){
		.type = MESSAGE_INITIATION, .sender = le32_make(sender)};
	error = begin(noise, handshake, &remote->public_key);
	if (!error)
		error = make_ephemeral(noise, handshake, message->ephemeral);
	if (!error)
		error = mix_agreement(
			noise, handshake, handshake->ephemeral, &remote->public_key, &key);
	if (!error)
		error = seal(noise, handshake, &key, noise->public_key.bytes, KEY_SIZE,
			message->sealed_static);
	if (!error)
		error = mix_key(noise, handshake, &remote->static_static, &key);
	if (!error)
		error = seal(noise, handshake, &key, timestamp, TIMESTAMP_SIZE,
			message->sealed_timestamp);
	if (error)
		handshake_wipe(handshake);
	explicit_bzero(&key, sizeof key);
	return error;
}

int noise_open_initiation(
	struct noise *noise, const struct message_initiation *message, struct handshake *handshake)
{
	struct aead_key key;
	int error;

	if (!noise->private_key)
		return -ENOKEY;
	error = begin(noise, handshake, &noise->public_key);
	memcpy(handshake->remote_ephemeral.bytes, message->ephemeral, KEY_SIZE);
	handshake->remote_index = le32_get(message->sender);
	if (!error)
		error = mix_ephemeral(noise, handshake, &handshake->remote_ephemeral);
	if (!error)
		error = as_forged(mix_agreement(
			noise, handshake, noise->private_key, &handshake->remote_ephemeral, &key));
	if (!error)
		error = open_sealed(noise, handshake, &key, message->sealed_static,
			sizeof message->sealed_static, handshake->remote_static.bytes);
	if (error)
		handshake_wipe(handshake);
	explicit_bzero(&key, sizeof key);
	return error;
}

int noise_prove_initiation(struct noise *noise, struct noise_remote *remote,
	const struct message_initiation *message, struct handshake *handshake,
	uint8_t timestamp[TIMESTAMP_SIZE])
{
	struct aead_key key;
	int error = as_forged(noise_agree_statics(noise, remote));

	if (!error)
		error = mix_key(noise, handshake, &remote->static_static, &key);
	if (!error)
		error = open_sealed(noise, handshake, &key, message->sealed_timestamp,
			sizeof message->sealed_timestamp, timestamp);
	if (error)
		handshake_wipe(handshake);
	explicit_bzero(&key, sizeof key);
	return error;
}

/* (C, tau, key) = KDF3(C, Q), H = HASH(H || tau) */
static int mix_preshared(struct noise *noise, struct handshake *handshake,
	const struct key *preshared, struct aead_key *key)
{
	static const struct key none;
	uint8_t tau[BLAKE2S_SIZE];
	int error = blake2s_kdf(noise->blake2s, handshake->chaining_key,
		preshared ? preshared->bytes : none.bytes, KEY_SIZE, handshake->chaining_key, tau,
		key->bytes);

	if (!error)
		error = mix_hash(noise, handshake, tau, sizeof tau);
	explicit_bzero(tau, sizeof tau);
	return error;
}

int noise_create_response(struct noise *noise, const struct noise_remote *remote, uint32_t sender,
	struct handshake *handshake, struct message_response *message)
{
	struct aead_key key;
	int error;

	*message = (struct message_response){
		.type = MESSAGE_RESPONSE,
		.sender = le32_make(sender),
		.receiver = le32_make(handshake->remote_index),
	};
	error = make_ephemeral(noise, handshake, message->ephemeral);
	if (!error)
		error = mix_agreement(
			noise, handshake, handshake->ephemeral, &handshake->remote_ephemeral, NULL);
	if (!error)
		error = mix_agreement(
			noise, handshake, handshake->ephemeral, &handshake->remote_static, NULL);
	if (!error)
		error = mix_preshared(noise, handshake, remote->preshared, &key);
	if (!error)
		error = seal(noise, handshake, &key, NULL, 0, message->sealed_nothing);
	if (error)
		handshake_wipe(handshake);
	explicit_bzero(&key, sizeof key);
	return error;
}

int noise_consume_response(struct noise *noise, const struct noise_remote *remote,
	const struct message_response *message, struct handshake *handshake)
{
	struct handshake trial = *handshake; /* shares the ephemeral key */
	struct aead_key key;
	int error;

	if (!noise->private_key)
		return -ENOKEY;
	memcpy(trial.remote_ephemeral.bytes, message->ephemeral, KEY_SIZE);
	trial.remote_index = le32_get(message->sender);
	error = mix_ephemeral(noise, &trial, &trial.remote_ephemeral);
	if (!error)
		error = as_forged(mix_agreement(
			noise, &trial, trial.ephemeral, &trial.remote_ephemeral, NULL));
	if (!error)
		error = as_forged(mix_agreement(
			noise, &trial, noise->private_key, &trial.remote_ephemeral, NULL));
	if (!error)
		error = mix_preshared(noise, &trial, remote->preshared, &key);
	if (!error)
		error = open_sealed(noise, &trial, &key, message->sealed_nothing,
			sizeof message->sealed_nothing, NULL);
	if (!error)
		*handshake = trial;
	explicit_bzero(&trial, sizeof trial);
	explicit_bzero(&key, sizeof key);
	return error;
}

int noise_derive(struct noise *noise, struct handshake *handshake, bool initiator,
	struct aead_key *send, struct aead_key *receive)
{
	int error = blake2s_kdf(noise->blake2s, handshake->chaining_key, NULL, 0,
		initiator ? send->bytes : receive->bytes, initiator ? receive->bytes : send->bytes,
		NULL);

	handshake_wipe(handshake);
	return error;
}

void handshake_wipe(struct handshake *handshake)
{
	curve_key_free(handshake->ephemeral);
	explicit_bzero(handshake, sizeof *handshake);
}

void noise_timestamp(uint64_t unix_ns, uint8_t timestamp[TIMESTAMP_SIZE])
{
	const uint64_t tai64_of_1970 = UINT64_C(0x400000000000000a);
	const uint32_t fine_bits = (1 << 24) - 1; /* 2^24 ns are 16.8 ms */
	uint64_t seconds = tai64_of_1970 + unix_ns / 1000000000;
	uint32_t ns = (uint32_t)(unix_ns % 1000000000) & ~fine_bits;

	for (int i = 0; i < 8; i++)
		timestamp[i] = (uint8_t)(seconds >> (56 - 8 * i));
	for (int i = 0; i < 4; i++)
		timestamp[8 + i] = (uint8_t)(ns >> (24 - 8 * i));
}
