/* X25519 out of the library. Runs in the control thread, which makes all handshakes. */
#include "device/crypto/curve.h"

#include <errno.h>
#include <string.h>

#include <openssl/evp.h>

/* A curve_key is the library's key under a type of its own. */
static EVP_PKEY *pkey_of(const struct curve_key *key)
{
	return (EVP_PKEY *)(uintptr_t)key;
}

struct curve_key *curve_key_new(const struct key *private_key, struct key *public_key)
{
	size_t length = KEY_SIZE;
	EVP_PKEY *pkey =
		EVP_PKEY_new_raw_private_key_ex(NULL, "X25519", NULL, private_key->bytes, KEY_SIZE);

	if (pkey && EVP_PKEY_get_raw_public_key(pkey, public_key->bytes, &length) == 1 &&
		length == KEY_SIZE)
		return (struct curve_key *)pkey;
	EVP_PKEY_free(pkey);
	return NULL;
}

void curve_key_free(struct curve_key *key)
{
	EVP_PKEY_free(pkey_of(key)); /* wipes the private key */
}

int curve_key_private(const struct curve_key *key, struct key *private_key)
{
	size_t length = KEY_SIZE;

	return EVP_PKEY_get_raw_private_key(pkey_of(key), private_key->bytes, &length) == 1 &&
			       length == KEY_SIZE
		       ? 0
		       : -EIO;
}

int curve_agree(const struct curve_key *own, const struct key *remote, struct key *shared)
{
	EVP_PKEY *peer =
		EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL, remote->bytes, KEY_SIZE);
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, pkey_of(own), NULL);
	size_t length = KEY_SIZE;
	int error = -EIO;

	if (!peer || !context || EVP_PKEY_derive_init(context) != 1 ||
		EVP_PKEY_derive_set_peer_ex(context, peer, 0) != 1)
		goto out;
	/* With all set up, an all-zero result is what it refuses. */
	error = EVP_PKEY_derive(context, shared->bytes, &length) == 1 && length == KEY_SIZE &&
				!key_is_zero(shared)
			? 0
			: -EINVAL;
out:
	EVP_PKEY_CTX_free(context);
	EVP_PKEY_free(peer);
	return error;
}
