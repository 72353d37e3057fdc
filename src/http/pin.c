/* Makes, parses and writes pins. Runs in the broker, the client and its request process, and the
 * command line. */
#include "http/pin.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/sha.h>
#include <openssl/x509.h>

static const char prefix[] = "sha256//";

int pin_of_certificate(const X509 *certificate, struct pin *pin)
{
	unsigned char *der = NULL;
	int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);

	if (length > 0)
		SHA256(der, (size_t)length, pin->hash.bytes);
	OPENSSL_free(der);
	return length > 0 ? 0 : -EIO;
}

int pin_parse(const char *text, struct pin *pin)
{
	size_t n = strlen(prefix);

	/* base64 of 32 bytes has one length, and no line break here */
	if (strncmp(text, prefix, n) != 0 || strlen(text + n) != KEY_TEXT_SIZE - 1)
		return -EINVAL;
	return key_parse(text + n, KEY_TEXT_SIZE - 1, &pin->hash);
}

struct pin_text pin_text(const struct pin *pin)
{
	struct pin_text text;

	snprintf(text.s, sizeof text.s, "%s%s", prefix, key_text(&pin->hash).s);
	return text;
}

bool pin_equal(const struct pin *a, const struct pin *b)
{
	return key_equal(&a->hash, &b->hash);
}
