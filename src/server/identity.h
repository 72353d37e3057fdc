/* Who the server is to its clients: a TLS private key and a certificate. */
#pragma once

#include <stddef.h>

#include "base/ipv4.h"

#define IDENTITY_FOLDER "/var/lib/vprox"
#define IDENTITY_KEY IDENTITY_FOLDER "/tls-key.pem"
#define IDENTITY_CERTIFICATE IDENTITY_FOLDER "/tls-cert.pem"

struct identity {
	char *certificate; /* PEM, the chain */
	char *key; /* PEM */
	size_t certificate_length;
	size_t key_length;
	/* "sha256//BASE64": of the public key (SubjectPublicKeyInfo, RFC 7469 2.4), as curl
	 * --pinnedpubkey takes it. */
	char pin[64];
};

/*
 * Reads the two files; if both paths are NULL those of IDENTITY_FOLDER, and makes them there if
 * they are absent: an ECDSA P-256 key, and a certificate for these addresses signed with it. Checks
 * that the key belongs to the certificate. Logs what goes wrong. Returns 0 or -errno; to be freed
 * with identity_free().
 */
int identity_load(struct identity *identity, const char *certificate_path, const char *key_path,
	const struct ipv4 *addresses, size_t n_addresses);
void identity_free(struct identity *identity);
