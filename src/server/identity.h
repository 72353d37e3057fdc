/* Who the server is to its clients: a TLS private key and a certificate. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/ipv4.h"

struct identity {
	char *certificate; /* PEM, the chain */
	size_t certificate_length;
	/* A file in memory, sealed: the private key in PEM. It is in no memory of this process. */
	int key_fd;
	bool key_is_fast; /* one signature takes less than 0.1 ms */
	/* "sha256//BASE64": of the public key (SubjectPublicKeyInfo, RFC 7469 2.4), as curl
	 * --pinnedpubkey takes it. */
	char pin[64];
};

/* Reads them, or makes them, as key_pair_load() does, in a process of its own. Logs what goes
 * wrong. Returns 0 or -errno; to be freed with identity_free(). */
int identity_load(struct identity *identity, const char *certificate_path, const char *key_path,
	const struct ipv4 *addresses, size_t n_addresses);
void identity_free(struct identity *identity);
