/* Compares a client's bearer with the password. Runs in the gate. */
#include "gate/auth.h"

#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/sha.h>

static const char scheme[] = "Bearer ";

int auth_init(struct auth *auth, const char *password, size_t length)
{
	if (length == 0)
		return -EINVAL;
	return SHA256((const unsigned char *)password, length, auth->digest) ? 0 : -EIO;
}

bool auth_check(const struct auth *auth, const char *authorization)
{
	unsigned char digest[AUTH_DIGEST_SIZE];
	size_t n = strlen(scheme);

	if (!authorization || strncmp(authorization, scheme, n) != 0)
		return false;
	authorization += n;
	/* Digests are compared, so that lengths are equal and unknown to the other side. */
	if (!SHA256((const unsigned char *)authorization, strlen(authorization), digest))
		return false;
	return CRYPTO_memcmp(digest, auth->digest, sizeof digest) == 0;
}
