/* A TLS private key and the certificate that belongs to it, in their files. */
#pragma once

#include <stddef.h>

#include "base/ipv4.h"

#define KEY_PAIR_FOLDER "/var/lib/vprox"
#define KEY_PAIR_KEY KEY_PAIR_FOLDER "/tls-key.pem"
#define KEY_PAIR_CERTIFICATE KEY_PAIR_FOLDER "/tls-cert.pem"

enum {
	KEY_PAIR_MAX_PEM = 128 * 1024, /* bytes of each file */
};

/* Both in PEM, with a NUL behind them; allocated. */
struct key_pair {
	char *certificate; /* the chain */
	char *key;
	size_t certificate_length;
	size_t key_length;
};

/*
 * Reads the two files; if both paths are NULL those of KEY_PAIR_FOLDER, and makes them there if
 * they are absent: an ECDSA P-256 key, and a certificate for these addresses signed with it. Checks
 * that the key belongs to the certificate. Logs what goes wrong. Returns 0 or -errno. The key is
 * left in many places of the memory: this is for a process that ends soon.
 */
int key_pair_load(struct key_pair *pair, const char *certificate_path, const char *key_path,
	const struct ipv4 *addresses, size_t n_addresses);
