/* Checks what a gate wants to have signed. Runs in the signer. */
#include "signer/content.h"

#include <string.h>

enum {
	PAD_SIZE = 64, /* of spaces */
	RANDOMS_SIZE = 64, /* the client's and the server's */
	NAMED_CURVE = 3,
	POINT_UNCOMPRESSED = 4,
};

/* Its final NUL is part of it. */
static const char server_context[] = "TLS 1.3, server CertificateVerify";

/* The key exchanges that gates offer (gate/tls.c), by their number in TLS. */
static const struct {
	uint16_t group;
	uint8_t point_size;
	bool is_tagged; /* the point begins with its form */
} curves[] = {
	{23, 65, true}, /* secp256r1 */
	{24, 97, true}, /* secp384r1 */
	{29, 32, false}, /* x25519 */
};

static bool is_certificate_verify(const uint8_t *content, size_t length)
{
	const size_t hash_at = PAD_SIZE + sizeof server_context;

	if (length != hash_at + 32 && length != hash_at + 48)
		return false;
	for (size_t i = 0; i < PAD_SIZE; i++)
		if (content[i] != ' ')
			return false;
	return memcmp(content + PAD_SIZE, server_context, sizeof server_context) == 0;
}

static bool is_server_key_exchange(const uint8_t *content, size_t length)
{
	const uint8_t *params = content + RANDOMS_SIZE;

	if (length <= RANDOMS_SIZE + 4 || params[0] != NAMED_CURVE)
		return false;
	for (size_t i = 0; i < sizeof curves / sizeof *curves; i++)
		if ((params[1] << 8 | params[2]) == curves[i].group)
			return params[3] == curves[i].point_size &&
			       length == RANDOMS_SIZE + 4u + curves[i].point_size &&
			       (!curves[i].is_tagged || params[4] == POINT_UNCOMPRESSED);
	return false;
}

bool content_is_signed_by_servers(const uint8_t *content, size_t length)
{
	return is_certificate_verify(content, length) || is_server_key_exchange(content, length);
}

size_t content_example(uint8_t *content)
{
	const size_t hash_at = PAD_SIZE + sizeof server_context;

	memset(content, ' ', PAD_SIZE);
	memcpy(content + PAD_SIZE, server_context, sizeof server_context);
	memset(content + hash_at, 0, 32);
	return hash_at + 32;
}
