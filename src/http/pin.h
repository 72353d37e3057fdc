/* A TLS public key by its hash (SubjectPublicKeyInfo, RFC 7469, 2.4), written as curl
 * --pinnedpubkey takes it: sha256//BASE64. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <openssl/types.h>

#include "base/key.h"

struct pin {
	struct key hash; /* 32 bytes too */
};

struct pin_text {
	char s[sizeof "sha256//" - 1 + KEY_TEXT_SIZE];
};

/* Returns 0, or -EIO if the library fails. */
int pin_of_certificate(const X509 *certificate, struct pin *pin);

/* Returns 0 or -EINVAL. */
int pin_parse(const char *text, struct pin *pin);
struct pin_text pin_text(const struct pin *pin);
bool pin_equal(const struct pin *a, const struct pin *b);
