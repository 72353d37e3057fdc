/* What an issuer's server sends: its configuration, and its keys. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>

#include "oidc/discovery.h"
#include "oidc/jwks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct issuer_key keys[ISSUER_KEYS_MAX];
	struct web_place place;
	int n = jwks_parse((const char *)data, size, keys);

	assert(n > 0 || n == -EBADMSG || n == -ENOENT || n == -E2BIG);
	for (int i = 0; i < n; i++)
		assert(issuer_key_is_valid(&keys[i]));
	if (discovery_parse((const char *)data, size, "https://issuer.example", &place) == 0)
		assert(place.server.host[0] && place.server.is_tls && place.target[0] == '/');
	return 0;
}
