/* Makes digests of passwords, in the process that becomes the broker, and compares with them, in
 * the gates. */
#include "ipc/bearer.h"

#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/sha.h>

static int digest(const char *password, uint8_t digest[BEARER_DIGEST_SIZE])
{
	return SHA256((const unsigned char *)password, strlen(password), digest) ? 0 : -EIO;
}

int bearer_make(struct bearer *bearer, const char *current, const char *previous)
{
	int error;

	if (!previous)
		previous = current;
	if (!*current || !*previous)
		return -EINVAL;
	error = digest(current, bearer->digests[0]);
	return error < 0 ? error : digest(previous, bearer->digests[1]);
}

/* Digests are compared, so that lengths are equal and unknown to the other side; and always with
 * all of them. */
bool bearer_has(const struct bearer *bearer, const char *password)
{
	uint8_t shown[BEARER_DIGEST_SIZE];
	unsigned int n_equal = 0;

	if (digest(password, shown) < 0)
		return false;
	for (int i = 0; i < BEARER_PASSWORDS; i++)
		n_equal += CRYPTO_memcmp(shown, bearer->digests[i], sizeof shown) == 0;
	return n_equal > 0;
}
