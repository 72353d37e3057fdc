/*
 * What a gate has from the broker: its configuration, the certificate, the digests of the
 * passwords, and the memory in which the gates count.
 */
#pragma once

#include <openssl/types.h>

#include "gate/remote_signature.h"
#include "gate/routes.h"
#include "ipc/gate_config.h"
#include "ipc/gate_counts.h"
#include "ipc/issuer_sheet.h"
#include "ipc/source_counts.h"

struct remote_keys;

enum {
	INHERITANCE_NAME_SIZE = 24,
};

struct inheritance {
	char name[INHERITANCE_NAME_SIZE]; /* "gate 0", for the log */
	struct gate_settings settings; /* without the digests, which are in routes */
	struct source_counts counts;
	struct gate_counts *answered;
	struct issuer_sheet *issuers; /* NULL: there are none */
	struct routes routes;
	SSL_CTX *tls; /* with a key that the signer has */
	struct remote_keys *keys;
	struct remote_signer signer;
};

/*
 * Takes it over from the descriptors that the process was started with, of which those for the
 * broker and the listeners stay open. It must be all zero, and stay where it is. signer signs with
 * the private key. Returns 0 or -errno, and logs why; to be freed in either case.
 */
int inheritance_take(struct inheritance *inheritance, const struct remote_signer *signer);
/* The broker has other settings. */
void inheritance_change(struct inheritance *inheritance, const struct live_settings *live);
/* Likewise other tokens: the file of them, which is closed. Logs what is wrong with it, and goes on
 * with those that there were. */
void inheritance_use_tokens(struct inheritance *inheritance, int fd);
void inheritance_free(struct inheritance *inheritance);
