/*
 * A private key of OpenSSL's that is not here: of it there is the public half, and whoever signs
 * with the other one: remote_signature.h.
 */
#pragma once

#include <openssl/types.h>

struct remote_signer;

/* Where such keys come from: a provider of OpenSSL's (provider(7)), in a library context of its
 * own, so that nothing else is ever done by it. Returns NULL when the library fails: tls_error().
 */
struct remote_keys;
struct remote_keys *remote_keys_new(void);
/* There must be no keys left. NULL is fine. */
void remote_keys_free(struct remote_keys *keys);

/*
 * The private key that belongs to a certificate: of kind EC, RSA, RSA-PSS, Ed25519 or Ed448. The
 * signer must stay as long as the key. Returns NULL if the library fails: tls_error(). To be freed
 * with EVP_PKEY_free().
 */
EVP_PKEY *remote_key_new(
	struct remote_keys *keys, X509 *certificate, const struct remote_signer *signer);
